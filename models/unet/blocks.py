"""The convolutional blocks of the UNets, and the levels of resolution that they make up.

Parameters carry the names of Diffusers' UNet2DConditionModel. Whether a level attends to text is a value: a level without
attention has none of these layers.

Shape suffixes: B = rows, C = channels, H, W = rows and columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.unet.attention import Context, SpatialTransformer, TransformerSizes


@dataclass(frozen=True)
class BlockSizes:
    """What all residual blocks have in common.

    Attributes:
        vec_channels: of the vector that says time and added conditioning.
        norm_num_groups: groups of every group norm.
        norm_eps: of the group norms of residual blocks.
    """

    vec_channels: int
    norm_num_groups: int
    norm_eps: float

    def norm(self, channels: int) -> nn.GroupNorm:
        """A group norm; in half precision PyTorch's kernels take its statistics in float32."""
        return nn.GroupNorm(self.norm_num_groups, channels, eps=self.norm_eps)


class ResnetBlock(nn.Module):
    """Two convolutions behind group norm and SiLU, added to their input; the vector enters between them."""

    def __init__(self, in_channels: int, out_channels: int, sizes: BlockSizes) -> None:
        super().__init__()
        self.norm1 = sizes.norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(sizes.vec_channels, out_channels)
        self.norm2 = sizes.norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self._changes_width = in_channels != out_channels
        if self._changes_width:
            self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x_BCHW: Tensor, vec_BC: Tensor) -> Tensor:
        h_BCHW = self.conv1(functional.silu(self.norm1(x_BCHW)))
        h_BCHW = h_BCHW + self.time_emb_proj(functional.silu(vec_BC))[:, :, None, None]
        h_BCHW = self.conv2(functional.silu(self.norm2(h_BCHW)))
        shortcut_BCHW = self.conv_shortcut(x_BCHW) if self._changes_width else x_BCHW
        return shortcut_BCHW + h_BCHW


class Downsample(nn.Module):
    """Halve the resolution. Unlike the autoencoders' it pads on all sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.conv(x_BCHW)


class Upsample(nn.Module):
    """Repeat pixels up to a given size, about the double, then smooth with a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor, size: torch.Size) -> Tensor:
        return self.conv(functional.interpolate(x_BCHW, size=size, mode="nearest"))


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by a spatial transformer where the level attends."""

    def __init__(self, widths: Sequence[tuple[int, int]], attention: TransformerSizes, sizes: BlockSizes) -> None:
        """Build the level.

        Args:
            widths: channels into and out of each residual block.
            attention: of its transformers; those of depth 0 are none.
            sizes: of its residual blocks.
        """
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(a, b, sizes) for a, b in widths)
        self.attentions = nn.ModuleList(
            SpatialTransformer(attention, sizes.norm_num_groups) for _ in widths if attention.depth
        )

    def layers(self) -> Iterator[tuple[nn.Module, nn.Module | None]]:
        """Residual blocks and what attends after each."""
        return zip_longest(self.resnets, self.attentions)


class DownLevel(Level):
    """A level on the way to the coarsest resolution."""

    def __init__(
        self,
        widths: Sequence[tuple[int, int]],
        attention: TransformerSizes,
        sizes: BlockSizes,
        *,
        is_last: bool,
    ) -> None:
        super().__init__(widths, attention, sizes)
        self.downsamplers = nn.ModuleList([] if is_last else [Downsample(attention.channels)])

    def forward(self, x_BCHW: Tensor, vec_BC: Tensor, context: Context) -> list[Tensor]:
        """Return the map after every layer; the last one goes on."""
        maps: list[Tensor] = []
        for resnet, attention in self.layers():
            x_BCHW = resnet(x_BCHW, vec_BC)
            x_BCHW = x_BCHW if attention is None else attention(x_BCHW, context)
            maps.append(x_BCHW)
        for downsampler in self.downsamplers:
            maps.append(downsampler(maps[-1]))
        return maps


class Middle(nn.Module):
    """Residual block, spatial transformer, residual block at the coarsest resolution."""

    def __init__(self, attention: TransformerSizes, sizes: BlockSizes) -> None:
        super().__init__()
        c = attention.channels
        self.resnets = nn.ModuleList(ResnetBlock(c, c, sizes) for _ in range(2))
        self.attentions = nn.ModuleList([SpatialTransformer(attention, sizes.norm_num_groups)])

    def forward(self, x_BCHW: Tensor, vec_BC: Tensor, context: Context) -> Tensor:
        x_BCHW = self.resnets[0](x_BCHW, vec_BC)
        return self.resnets[1](self.attentions[0](x_BCHW, context), vec_BC)


class UpLevel(Level):
    """A level on the way back; every residual block also reads a map of the way down."""

    def __init__(
        self,
        widths: Sequence[tuple[int, int]],
        attention: TransformerSizes,
        sizes: BlockSizes,
        *,
        is_last: bool,
    ) -> None:
        super().__init__(widths, attention, sizes)
        self.upsamplers = nn.ModuleList([] if is_last else [Upsample(attention.channels)])

    def forward(self, x_BCHW: Tensor, vec_BC: Tensor, context: Context, skips: list[Tensor]) -> Tensor:
        """Consume the last of `skips`, and bring the result to the size of the one before them."""
        for resnet, attention in self.layers():
            x_BCHW = resnet(torch.cat([x_BCHW, skips.pop()], dim=1), vec_BC)
            x_BCHW = x_BCHW if attention is None else attention(x_BCHW, context)
        for upsampler in self.upsamplers:
            x_BCHW = upsampler(x_BCHW, skips[-1].shape[2:])
        return x_BCHW
