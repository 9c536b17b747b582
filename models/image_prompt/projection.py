"""What brings a picture's features to tokens as wide as a UNet's text tokens: a layer, or a small network for each token.

The resampler of the "plus" adapters is in models.image_prompt.resampler.

Shape suffixes: B = pictures, C = channels, P = patches and the class token, S = image tokens.
"""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class LinearParams:
    """Sizes of a LinearProjection.

    Attributes:
        in_channels: of a picture's projected features.
        out_channels: of a token.
        num_tokens: tokens of a picture.
    """

    in_channels: int = 1024
    out_channels: int = 768
    num_tokens: int = 4

    reads_patches = False


@dataclass(frozen=True)
class PatchwiseParams:
    """Sizes of a PatchwiseProjection.

    Attributes:
        in_channels: of a patch.
        out_channels: of a token.
    """

    in_channels: int = 1280
    out_channels: int = 768

    reads_patches = True


class LinearProjection(nn.Module):
    """One layer from the features of a whole picture to a few tokens, and a norm: ImageProjModel in tencent-ailab/IP-Adapter."""

    def __init__(self, params: LinearParams) -> None:
        super().__init__()
        self._num_tokens = params.num_tokens
        self.proj = nn.Linear(params.in_channels, params.num_tokens * params.out_channels)
        self.norm = nn.LayerNorm(params.out_channels)

    def forward(self, features_BC: Tensor) -> Tensor:
        """Return tokens, B x S x C."""
        return self.norm(self.proj(features_BC).unflatten(-1, (self._num_tokens, -1)))


class PatchwiseProjection(nn.Module):
    """Two layers from every patch to a token, and a norm: MLPProjModel in tencent-ailab/IP-Adapter, of the "full" adapters."""

    def __init__(self, params: PatchwiseParams) -> None:
        super().__init__()
        self.proj_in = nn.Linear(params.in_channels, params.in_channels)
        self.gelu = nn.GELU()
        self.proj_out = nn.Linear(params.in_channels, params.out_channels)
        self.norm = nn.LayerNorm(params.out_channels)

    def forward(self, features_BPC: Tensor) -> Tensor:
        """Return tokens, B x S x C; S is P."""
        return self.norm(self.proj_out(self.gelu(self.proj_in(features_BPC))))
