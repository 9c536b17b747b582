"""Rotary position embedding over several axes (Su et al. 2021, arXiv:2104.09864), adjacent channels paired.

Shape suffixes: B = rows, L = tokens, A = axes, N = heads, D = channels of a head, P = D/2 rotated pairs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def rotation_angles(ids_BLA: Tensor, axes_dim: Sequence[int], theta: float) -> Tensor:
    """Return the angle of every rotated pair; the axes' angles lie one after another.

    Args:
        ids_BLA: position of every token on every axis.
        axes_dim: channels of a head that belong to each axis; even, and D together.
        theta: base of the frequencies.

    Returns:
        Angles, B x L x P, in float64 where the device has it, else in float32.
    """
    dtype = torch.float32 if ids_BLA.device.type == "mps" else torch.float64
    angles_BLP: list[Tensor] = []
    for axis, dim in enumerate(axes_dim):
        exponents_P = torch.arange(0, dim, 2, dtype=dtype, device=ids_BLA.device) / dim
        angles_BLP.append(ids_BLA[..., axis, None].to(dtype) * theta**-exponents_P)
    return torch.cat(angles_BLP, dim=-1)


class Rotation:
    """Cosines and sines of the angles of every token, ready to turn queries and keys."""

    def __init__(self, angles_BLP: Tensor) -> None:
        self.cos_BL1P = angles_BLP.cos().float()[:, :, None]
        self.sin_BL1P = angles_BLP.sin().float()[:, :, None]

    def __call__(self, x_BLND: Tensor) -> Tensor:
        """Rotate each pair of adjacent channels, in float32; the dtype of the input is kept."""
        even_BLNP, odd_BLNP = x_BLND.float().reshape(*x_BLND.shape[:-1], -1, 2).unbind(-1)
        turned_BLNP2 = torch.stack(
            [
                even_BLNP * self.cos_BL1P - odd_BLNP * self.sin_BL1P,
                odd_BLNP * self.cos_BL1P + even_BLNP * self.sin_BL1P,
            ],
            dim=-1,
        )
        return turned_BLNP2.flatten(-2).to(x_BLND.dtype)
