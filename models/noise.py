"""Initial noise: drawn on the CPU for each picture alone, so that a seed means the same picture in any company, on any device."""

import torch
from torch import Tensor

MAX_SEED = 2**63 - 1


def generator_of(seed: int) -> torch.Generator:
    """A picture's own generator. Everything that is drawn for the picture comes from it, in the order of Diffusers' pipelines.

    Args:
        seed: 0 to MAX_SEED.
    """
    return torch.Generator("cpu").manual_seed(seed)


def initial_noise(channels: int, rows: int, columns: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Draw standard normal noise as Diffusers' pipelines do: one picture, planes, in the network's dtype.

    The dtype is part of the draw: torch does not promise that a bfloat16 draw is a rounded float32 draw of the same seed.

    Args:
        channels: channels of a latent position.
        rows: latent positions from top to bottom.
        columns: latent positions from left to right.
        generator: the picture's, on the CPU.
        dtype: in which the generator draws.

    Returns:
        Noise, 1 x channels x rows x columns, on the CPU.
    """
    return torch.randn((1, channels, rows, columns), generator=generator, dtype=dtype)
