"""Feed-forward layers: two linear layers, and what stands between them.

Shape suffixes: B = rows, L = tokens, C = channels.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE, CUBIC = math.sqrt(2 / math.pi), 0.044715
"""GELU is x (1 + tanh(SLOPE (x + CUBIC x^3))) / 2, nearly."""


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
        if x_BLC.dtype is not torch.float32 or not x_BLC.is_cpu:
            return functional.gelu(x_BLC, approximate="tanh")
        # The same function, 1 + tanh(u) being 2 sigmoid(2u): on a CPU in half the time of torch's own.
        twice_BLC = (x_BLC * x_BLC).mul_(2 * SLOPE * CUBIC).add_(2 * SLOPE).mul_(x_BLC)
        return x_BLC * twice_BLC.sigmoid_()


Activation = type[SwiGlu] | type[TanhGelu]


def feed_forward(hidden_size: int, mlp_size: int, activation: Activation, *, bias: bool) -> nn.Sequential:
    """Linear, activation, linear; mlp_size channels come out of the activation."""
    return nn.Sequential(
        nn.Linear(hidden_size, activation.channels_in * mlp_size, bias=bias),
        activation(),
        nn.Linear(mlp_size, hidden_size, bias=bias),
    )
