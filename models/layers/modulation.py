"""Adaptive layer norm (Peebles & Xie 2022, arXiv:2212.09748): shifts, scales and gates made from a conditioning vector.

Shape suffixes: B = rows, L = tokens, C = channels.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-6


class Modulated(NamedTuple):
    """Shift, scale and gate of one sublayer, each B x 1 x C."""

    shift_B1C: Tensor
    scale_B1C: Tensor
    gate_B1C: Tensor


class Modulation(nn.Module):
    """One linear layer that makes the modulation of `num_sublayers` sublayers (BFL `Modulation`)."""

    def __init__(self, hidden_size: int, num_sublayers: int, *, bias: bool) -> None:
        super().__init__()
        self.lin = nn.Linear(hidden_size, 3 * num_sublayers * hidden_size, bias=bias)
        self._num_sublayers = num_sublayers

    def forward(self, vec_BC: Tensor) -> tuple[Modulated, ...]:
        parts_B1C = self.lin(functional.silu(vec_BC))[:, None].chunk(3 * self._num_sublayers, dim=-1)
        return tuple(Modulated(*parts_B1C[i : i + 3]) for i in range(0, len(parts_B1C), 3))


def normalised(x_BLC: Tensor) -> Tensor:
    """Layer norm without parameters."""
    return functional.layer_norm(x_BLC, x_BLC.shape[-1:], eps=NORM_EPS)


def modulated(x_BLC: Tensor, modulation: Modulated) -> Tensor:
    """Layer norm, then scale about one and shift."""
    return (1 + modulation.scale_B1C) * normalised(x_BLC) + modulation.shift_B1C
