"""The ControlNet of Stable Diffusion 1.5 and SDXL (Zhang et al. 2023, arXiv:2302.05543): a UNet's way down and its middle, which also
read a picture, and a 1 x 1 convolution behind each of their maps, which training begins with zeros.

Shape suffixes: B = rows, C = channels, H, W = rows and columns (of pixels where a picture is meant).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from models.unet.attention import Context
from models.unet.unet import Encoder, Residuals, UnetParams


@dataclass(frozen=True)
class ControlNetParams:
    """Sizes of the network. The defaults are those of Stable Diffusion 1.5.

    Attributes:
        unet: of the way down and the middle; the UNet beside it has the same channels, layers and conditioning.
        hint_channels: of the convolutions that read the picture, each but the first at half the resolution of the one before.
        picture_channels: 3 for a picture in colours.
        is_bgr: whether the picture's colours are read from blue to red.
    """

    unet: UnetParams = field(default_factory=UnetParams)
    hint_channels: tuple[int, ...] = (16, 32, 96, 256)
    picture_channels: int = 3
    is_bgr: bool = False

    @property
    def pixels_per_position(self) -> int:
        """Pixels along the side of what a position of latents stands for."""
        return 2 ** (len(self.hint_channels) - 1)

    def fits(self, unet: UnetParams) -> bool:
        """Whether this network's maps can be added to those of a UNet, and whether it reads what that one reads."""
        own = self.unet
        return (own.skip_channels, own.context_channels, own.added, own.in_channels) == (
            unet.skip_channels,
            unet.context_channels,
            unet.added,
            unet.out_channels,
        )


class HintEmbedding(nn.Module):
    """Convolutions that bring a picture to the resolution and the channels of a UNet's first map."""

    def __init__(self, picture_channels: int, hint_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(picture_channels, hint_channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for before, after in pairwise(hint_channels):
            self.blocks.append(nn.Conv2d(before, before, 3, padding=1))
            self.blocks.append(nn.Conv2d(before, after, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(hint_channels[-1], channels, 3, padding=1)

    def forward(self, picture_BCHW: Tensor) -> Tensor:
        h_BCHW = functional.silu(self.conv_in(picture_BCHW))
        for block in self.blocks:
            h_BCHW = functional.silu(block(h_BCHW))
        return self.conv_out(h_BCHW)


class ControlNet(Encoder):
    """Diffusers' ControlNetModel, as far as Stable Diffusion 1.5 and SDXL use it."""

    def __init__(self, params: ControlNetParams) -> None:
        super().__init__(params.unet)
        self.control_params = params
        skips = params.unet.skip_channels
        self.controlnet_cond_embedding = HintEmbedding(params.picture_channels, params.hint_channels, skips[0])
        self.controlnet_down_blocks = nn.ModuleList(nn.Conv2d(channels, channels, 1) for channels in skips)
        self.controlnet_mid_block = nn.Conv2d(skips[-1], skips[-1], 1)

    def hint(self, picture_BCHW: Tensor) -> Tensor:
        """What the network makes of a picture, once for all steps: B x C x H x W at the resolution of latents.

        Args:
            picture_BCHW: in [0, 1], pixels_per_position times as wide and high as the latents.
        """
        return self.controlnet_cond_embedding(picture_BCHW.flip(1) if self.control_params.is_bgr else picture_BCHW)

    def forward(self, x_BCHW: Tensor, vec_BC: Tensor, context: Context, hint_BCHW: Tensor) -> Residuals:
        """What is to be added to the maps of the UNet beside it, at scale 1.

        Args:
            x_BCHW: the latents that the UNet sees, without what stands beside them.
            vec_BC: as this network's vectors returns it.
            context: what attention reads.
            hint_BCHW: of the row's picture, as hint returns it.
        """
        skips, middle_BCHW = self.encode(x_BCHW, vec_BC, context, hint_BCHW)
        down = [behind(skip) for behind, skip in zip(self.controlnet_down_blocks, skips, strict=True)]
        return Residuals(down, self.controlnet_mid_block(middle_BCHW))
