"""Feed-forward layers: two linear layers, and what stands between them.

Shape suffixes: B = rows, L = tokens, C = channels.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional


class SwiGlu(nn.Module):
    """Half of the channels gate the other half (Shazeer 2020, arXiv:2002.05202)."""

    channels_in: ClassVar[int] = 2
    """For each channel that comes out."""

    def forward(self, x_BLC: Tensor) -> Tensor:
        gate_BLC, value_BLC = x_BLC.chunk(2, dim=-1)
        return functional.silu(gate_BLC) * value_BLC


class TanhGelu(nn.Module):
    """GELU in its approximation by tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""

    channels_in: ClassVar[int] = 1
    """For each channel that comes out."""

    def forward(self, x_BLC: Tensor) -> Tensor:
        return functional.gelu(x_BLC, approximate="tanh")


Activation = type[SwiGlu] | type[TanhGelu]


def feed_forward(hidden_size: int, mlp_size: int, activation: Activation, *, bias: bool) -> nn.Sequential:
    """Linear, activation, linear; mlp_size channels come out of the activation."""
    return nn.Sequential(
        nn.Linear(hidden_size, activation.channels_in * mlp_size, bias=bias),
        activation(),
        nn.Linear(mlp_size, hidden_size, bias=bias),
    )
