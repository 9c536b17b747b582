"""Rotary position embedding over several axes (Su et al. 2021, arXiv:2104.09864), adjacent channels paired.

Shape suffixes: B = rows, L = tokens, A = axes, D = channels of a head, P = D/2 rotated pairs.
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


def turns(angles_BLP: Tensor) -> Tensor:
    """Return the complex numbers that turn pairs by these angles, complex64, rounded from the angles' own precision."""
    return torch.complex(angles_BLP.cos().float(), angles_BLP.sin().float())


def rotated(x_BLxD: Tensor, turns_BLxP: Tensor) -> Tensor:
    """Rotate each pair of adjacent channels, in float32; the dtype of the input is kept.

    Args:
        x_BLxD: contiguous; any dimensions between tokens and channels.
        turns_BLxP: of every token, with as many dimensions.
    """
    pairs_BLxP = torch.view_as_complex(x_BLxD.float().view(*x_BLxD.shape[:-1], -1, 2))
    return torch.view_as_real(pairs_BLxP * turns_BLxP).view(x_BLxD.shape).to(x_BLxD.dtype)
