"""Weights and inputs that are a function of a name and a shape: the stored numbers of the tests were made with them."""

import math
import zlib
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def hashed(name: str, shape: Sequence[int]) -> Tensor:
    """Numbers in [-0.5, 0.5) from a sine hash of the name, float64."""
    index = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    wave = torch.sin(index * 12.9898 + (zlib.crc32(name.encode()) % 1000) * 78.233) * 43758.5453
    return ((wave - torch.floor(wave)) - 0.5).reshape(tuple(shape))


def golden_weight(name: str, shape: Sequence[int]) -> Tensor:
    """A parameter: matrices keep the variance of their input, norm scales lie about one."""
    if len(shape) >= 2:
        return hashed(name, shape) * math.sqrt(12.0 / (math.prod(shape) / shape[0]))
    if name.endswith("bias"):
        return 0.1 * hashed(name, shape)
    return 1.0 + 0.2 * hashed(name, shape)


def golden_input(name: str, shape: Sequence[int]) -> Tensor:
    """An input of unit variance, float32."""
    return (hashed(name, shape) * math.sqrt(12.0)).float()


def fill(network: Network) -> Network:
    """Give every parameter its golden value."""
    network.load_state_dict({name: golden_weight(name, p.shape).float() for name, p in network.state_dict().items()})
    return network.eval()
