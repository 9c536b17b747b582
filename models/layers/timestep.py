"""Sinusoidal features of a time or a guidance strength, and the small network that reads them.

Shape suffixes: B = rows, F = sinusoidal features, C = channels.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_FEATURES = 256
TIME_FACTOR = 1000.0
MAX_PERIOD = 10_000.0


def sinusoidal_features(t_B: Tensor, num_features: int = NUM_FEATURES, factor: float = TIME_FACTOR) -> Tensor:
    """Return cosines, then sines, of t times a factor at geometrically spaced frequencies, in float32.

    The product is taken in the dtype of t_B: Diffusers' pipelines hand bfloat16 networks bfloat16 times, and a caller
    that wants their pictures does the same. Everything after it is float32.

    Args:
        t_B: times in [0, 1], or guidance strengths; with factor 1 steps of training, or sizes.
        num_features: even number of features.
        factor: of t.

    Returns:
        Features, B x num_features, float32.
    """
    half = num_features // 2
    exponents_F = -math.log(MAX_PERIOD) * torch.arange(half, dtype=torch.float32, device=t_B.device) / half
    angles_BF = (t_B * factor).float()[:, None] * exponents_F.exp()[None]
    return torch.cat([angles_BF.cos(), angles_BF.sin()], dim=-1)


class MlpEmbedder(nn.Module):
    """Two linear layers with SiLU between them (BFL `MLPEmbedder`)."""

    def __init__(self, in_channels: int, hidden_size: int, *, bias: bool) -> None:
        super().__init__()
        self.in_layer = nn.Linear(in_channels, hidden_size, bias=bias)
        self.out_layer = nn.Linear(hidden_size, hidden_size, bias=bias)

    def forward(self, x_BF: Tensor) -> Tensor:
        return self.out_layer(functional.silu(self.in_layer(x_BF)))


def conditioning_vector(
    time_in: MlpEmbedder,
    guidance_in: MlpEmbedder | None,
    timesteps_B: Tensor,
    guidance_B: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    """Embed times, and guidance strengths where the network has an embedder for them.

    Args:
        time_in: reads the features of times.
        guidance_in: reads those of guidance strengths; None in a network that takes none.
        timesteps_B: times in [0, 1].
        guidance_B: guidance strengths, exactly when there is guidance_in.
        dtype: in which the network runs.

    Returns:
        The vector that modulates the blocks, B x C.
    """
    if (guidance_B is None) != (guidance_in is None):
        raise ValueError("guidance_B belongs to networks with guidance_embed, and to no other")
    vec_BC = time_in(sinusoidal_features(timesteps_B).to(dtype))
    if guidance_in is None or guidance_B is None:
        return vec_BC
    return vec_BC + guidance_in(sinusoidal_features(guidance_B).to(dtype))
