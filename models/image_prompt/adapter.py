"""The adapter: a picture's features to tokens, and to the keys and values that a UNet's cross-attentions read beside the text's.

Its weights are its own: the UNet beside which it was trained holds none of them, and any number of adapters go beside one UNet.

Shape suffixes: B = pictures, S = image tokens, C = channels.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.image_prompt.projection import LinearParams, LinearProjection, PatchwiseParams, PatchwiseProjection
from models.image_prompt.resampler import Resampler, ResamplerParams
from models.unet.unet import UnetParams

ProjectionParams = LinearParams | PatchwiseParams | ResamplerParams


@dataclass(frozen=True)
class AdapterParams:
    """Sizes of an adapter.

    Attributes:
        projection: of what brings a picture's features to tokens.
        channels: of each cross-attention of the UNet, in the order of UnetParams.cross_attention_channels.
    """

    projection: ProjectionParams
    channels: tuple[int, ...]

    def fits(self, unet: UnetParams) -> bool:
        """Whether the adapter goes beside a UNet of these sizes."""
        return self.projection.out_channels == unet.context_channels and self.channels == unet.cross_attention_channels


class ImageAdapter(nn.Module):
    """An IP-Adapter (Ye et al. 2023, arXiv:2308.06721, 3.2)."""

    def __init__(self, params: AdapterParams) -> None:
        super().__init__()
        self.params = params
        self.projection = _projection(params.projection)
        context_channels = params.projection.out_channels
        self.to_kv = nn.ModuleList(
            nn.Linear(context_channels, 2 * channels, bias=False) for channels in params.channels
        )

    @property
    def reads_patches(self) -> bool:
        """Whether it reads what an encoder sees in every patch, and not the features of the whole picture."""
        return self.params.projection.reads_patches

    def forward(self, features: Tensor) -> Tensor:
        """Return the tokens of pictures, B x S x C.

        Args:
            features: B x C of whole pictures, or B x patches x C.
        """
        return self.projection(features)

    def keys_values(self, tokens_SC: Tensor) -> tuple[Tensor, ...]:
        """Keys and values side by side for every cross-attention, S x 2 C each."""
        return tuple(to_kv(tokens_SC) for to_kv in self.to_kv)


def _projection(params: ProjectionParams) -> nn.Module:
    match params:
        case LinearParams():
            return LinearProjection(params)
        case PatchwiseParams():
            return PatchwiseProjection(params)
        case ResamplerParams():
            return Resampler(params)
