"""Losses and the distributions that they are taken over, as plain functions of tensors.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns, L = latent tokens.
Time: t = 1 is pure noise, t = 0 is the picture.
"""

import torch
from torch import Tensor
from torch.nn import functional


def sample_times(num: int, shift: float, generator: torch.Generator, std: float = 1.0) -> Tensor:
    """Draw times in (0, 1): the sigmoid of a normal draw of mean `shift` (Esser et al. 2024, arXiv:2403.03206, section 3.1).

    A mean of mu is the exponential shift t' = e^mu / (e^mu + 1/t - 1) of a centred draw, the one that sampling applies.
    """
    return torch.sigmoid(shift + std * torch.randn(num, generator=generator))


def interpolate(x0_BLC: Tensor, noise_BLC: Tensor, t_B: Tensor) -> Tensor:
    """Return the point at time t on the straight line from the picture to the noise."""
    t_B11 = t_B[:, None, None]
    return (1 - t_B11) * x0_BLC + t_B11 * noise_BLC


def flow_matching_loss(velocity_BLC: Tensor, x0_BLC: Tensor, noise_BLC: Tensor) -> Tensor:
    """Return the mean squared error of a predicted dx/dt on that line (Lipman et al. 2022, arXiv:2210.02747, eq. 23)."""
    return functional.mse_loss(velocity_BLC, noise_BLC - x0_BLC)


def picture_loss(output_BCHW: Tensor, target_BCHW: Tensor, edge_weight: float = 1.0) -> Tensor:
    """Return mean absolute error plus that of horizontal and vertical differences, which keeps edges sharp."""
    across = functional.l1_loss(output_BCHW.diff(dim=3), target_BCHW.diff(dim=3))
    down = functional.l1_loss(output_BCHW.diff(dim=2), target_BCHW.diff(dim=2))
    return functional.l1_loss(output_BCHW, target_BCHW) + edge_weight * (across + down)
