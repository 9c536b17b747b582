"""The convolutional encoder and decoder that FLUX.1's, FLUX.2's and Stable Diffusion's autoencoders share.

Parameters carry the names of Black Forest Labs' files (github.com/black-forest-labs/flux, src/flux/modules/autoencoder.py). What a
latent is, beyond the encoder's output, belongs to the autoencoders.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns, S = positions (H times W).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from models.vae.attention import single_head_attention

PATCH = 2
"""Side of the square of encoder outputs that a transformer takes as one token."""
FINE_LEVELS = 2
"""Levels of resolution whose maps are too large to be held whole for a large picture."""
Normalise = Callable[[nn.GroupNorm, Tensor], Tensor]
"""How a group norm is applied: to the statistics of its own input, or to given ones (models.vae.statistics)."""


def own_statistics(norm: nn.GroupNorm, x_BCHW: Tensor) -> Tensor:
    """Apply a group norm as it is."""
    return norm(x_BCHW)


@dataclass(frozen=True)
class AutoencoderParams:
    """Sizes of encoder and decoder.

    Attributes:
        in_channels: colour channels of a picture.
        block_channels: channels of each resolution level, the finest first; every further level halves the resolution.
        layers_per_block: residual blocks a level in the encoder; the decoder has one more.
        z_channels: channels of the encoder's mean.
        norm_num_groups: groups of every group norm; divides all block channels.
        quant_conv: whether a 1 x 1 convolution follows the encoder.
        post_quant_conv: whether one precedes the decoder.
    """

    in_channels: int = 3
    block_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    z_channels: int = 16
    norm_num_groups: int = 32
    quant_conv: bool = False
    post_quant_conv: bool = False

    @property
    def latent_channels(self) -> int:
        """Channels of a token: of a square of PATCH x PATCH encoder outputs."""
        return self.z_channels * PATCH * PATCH

    @property
    def pixels_per_z(self) -> int:
        """Side in pixels of the square that one encoder output stands for."""
        return 2 ** (len(self.block_channels) - 1)

    @property
    def pixels_per_position(self) -> int:
        """Side in pixels of the square that one token stands for; the sides of a picture are multiples of it."""
        return PATCH * self.pixels_per_z

    @property
    def pixels_per_coarse(self) -> int:
        """Side in pixels of a position of the maps between the fine and the coarse part of encoder and decoder."""
        return min(2**FINE_LEVELS, self.pixels_per_z)


def _norm(channels: int, params: AutoencoderParams) -> nn.GroupNorm:
    """Group norm; in half precision PyTorch's kernels take its mean and variance in float32."""
    return nn.GroupNorm(params.norm_num_groups, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    """Two convolutions behind group norm and SiLU, added to their input."""

    def __init__(self, in_channels: int, out_channels: int, params: AutoencoderParams) -> None:
        super().__init__()
        self.norm1 = _norm(in_channels, params)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = _norm(out_channels, params)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self._changes_width = in_channels != out_channels

    def forward(self, x_BCHW: Tensor, normalise: Normalise = own_statistics) -> Tensor:
        h_BCHW = self.conv1(functional.silu(normalise(self.norm1, x_BCHW)))
        h_BCHW = self.conv2(functional.silu(normalise(self.norm2, h_BCHW)))
        shortcut_BCHW = self.nin_shortcut(x_BCHW) if self._changes_width else x_BCHW
        return shortcut_BCHW + h_BCHW


class AttnBlock(nn.Module):
    """Single-head attention over all positions, added to its input."""

    def __init__(self, channels: int, params: AutoencoderParams) -> None:
        super().__init__()
        self.norm = _norm(channels, params)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BSC = self.norm(x_BCHW.flatten(2)).transpose(1, 2)  # as Diffusers: other shapes round otherwise
        q_BSC, k_BSC, v_BSC = (_as_linear(layer, h_BSC) for layer in (self.q, self.k, self.v))
        h_BSC = _as_linear(self.proj_out, single_head_attention(q_BSC, k_BSC, v_BSC))
        # The first term decides the memory format of the sum, and that how convolutions after it round: Diffusers' order.
        return h_BSC.transpose(1, 2).reshape(x_BCHW.shape) + x_BCHW


def _as_linear(layer: nn.Conv2d, x_BSC: Tensor) -> Tensor:
    """Apply a 1 x 1 convolution to positions in a row. In bfloat16 it rounds like Diffusers' linear layer, a convolution does not."""
    return functional.linear(x_BSC, layer.weight.flatten(1), layer.bias)


class Downsample(nn.Module):
    """Halve the resolution; the padding is on the right and at the bottom only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.conv(functional.pad(x_BCHW, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double the resolution by repeating pixels, then smooth with a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x_BCHW, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    """Residual block, attention, residual block at the coarsest resolution."""

    def __init__(self, channels: int, params: AutoencoderParams) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, params)
        self.attn_1 = AttnBlock(channels, params)
        self.block_2 = ResnetBlock(channels, channels, params)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x_BCHW)))


class DownLevel(nn.Module):
    """The encoder's residual blocks at one resolution, then the step to the next."""

    def __init__(self, in_channels: int, out_channels: int, params: AutoencoderParams, *, is_last: bool) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * params.layers_per_block
        self.block = nn.ModuleList(ResnetBlock(a, b, params) for a, b in pairwise(widths))
        self._steps_down = not is_last
        if self._steps_down:
            self.downsample = Downsample(out_channels)

    def forward(self, x_BCHW: Tensor, normalise: Normalise = own_statistics) -> Tensor:
        for block in self.block:
            x_BCHW = block(x_BCHW, normalise)
        return self.downsample(x_BCHW) if self._steps_down else x_BCHW


class UpLevel(nn.Module):
    """The decoder's residual blocks at one resolution, then the step to the next finer one."""

    def __init__(self, in_channels: int, out_channels: int, params: AutoencoderParams, *, is_last: bool) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * (params.layers_per_block + 1)
        self.block = nn.ModuleList(ResnetBlock(a, b, params) for a, b in pairwise(widths))
        self._steps_up = not is_last
        if self._steps_up:
            self.upsample = Upsample(out_channels)

    def forward(self, x_BCHW: Tensor, normalise: Normalise = own_statistics) -> Tensor:
        return self.stepped_up(self.blocks(x_BCHW, normalise))

    def blocks(self, x_BCHW: Tensor, normalise: Normalise = own_statistics) -> Tensor:
        """The residual blocks alone."""
        for block in self.block:
            x_BCHW = block(x_BCHW, normalise)
        return x_BCHW

    def stepped_up(self, x_BCHW: Tensor) -> Tensor:
        """The step to the next finer resolution alone."""
        return self.upsample(x_BCHW) if self._steps_up else x_BCHW


class Encoder(nn.Module):
    """Pictures to moments: means and log-variances, 2 * z_channels together, one position for pixels_per_z pixels a side."""

    def __init__(self, params: AutoencoderParams) -> None:
        super().__init__()
        channels = params.block_channels
        z2 = 2 * params.z_channels
        self.quant_conv = nn.Conv2d(z2, z2, 1) if params.quant_conv else nn.Identity()
        self.conv_in = nn.Conv2d(params.in_channels, channels[0], 3, padding=1)
        last = len(channels) - 1
        self.down = nn.ModuleList(
            DownLevel(channels[max(i - 1, 0)], channels[i], params, is_last=i == last) for i in range(len(channels))
        )
        self.mid = Middle(channels[-1], params)
        self.norm_out = _norm(channels[-1], params)
        self.conv_out = nn.Conv2d(channels[-1], z2, 3, padding=1)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        return self.coarse(self.fine(image_BCHW))

    def fine(self, image_BCHW: Tensor, normalise: Normalise = own_statistics) -> Tensor:
        """Pictures to maps with one position for pixels_per_coarse pixels a side."""
        h_BCHW = self.conv_in(image_BCHW)
        for level in self.down[:FINE_LEVELS]:
            h_BCHW = level(h_BCHW, normalise)
        return h_BCHW

    def coarse(self, h_BCHW: Tensor) -> Tensor:
        """What fine returns to moments."""
        for level in self.down[FINE_LEVELS:]:
            h_BCHW = level(h_BCHW)
        h_BCHW = functional.silu(self.norm_out(self.mid(h_BCHW)))
        return self.quant_conv(self.conv_out(h_BCHW))


class Decoder(nn.Module):
    """Encoder means to pictures. `up` counts from the finest level, as in the published files."""

    def __init__(self, params: AutoencoderParams) -> None:
        super().__init__()
        channels = params.block_channels
        z = params.z_channels
        self.post_quant_conv = nn.Conv2d(z, z, 1) if params.post_quant_conv else nn.Identity()
        self.conv_in = nn.Conv2d(z, channels[-1], 3, padding=1)
        self.mid = Middle(channels[-1], params)
        last = len(channels) - 1
        self.up = nn.ModuleList(
            UpLevel(channels[min(i + 1, last)], channels[i], params, is_last=i == 0) for i in range(len(channels))
        )
        self.norm_out = _norm(channels[0], params)
        self.conv_out = nn.Conv2d(channels[0], params.in_channels, 3, padding=1)

    def forward(self, z_BCHW: Tensor) -> Tensor:
        return self.fine(self.coarse(z_BCHW))

    def coarse(self, z_BCHW: Tensor) -> Tensor:
        """Encoder means to maps with one position for pixels_per_coarse pixels a side."""
        h_BCHW = self.mid(self.conv_in(self.post_quant_conv(z_BCHW)))
        between, coarser = self._levels[FINE_LEVELS : FINE_LEVELS + 1], self._levels[FINE_LEVELS + 1 :]
        for level in reversed(coarser):
            h_BCHW = level(h_BCHW)
        for level in between:
            h_BCHW = level.blocks(h_BCHW)
        return h_BCHW

    def fine(self, h_BCHW: Tensor, normalise: Normalise = own_statistics) -> Tensor:
        """What coarse returns to pictures."""
        for level in self._levels[FINE_LEVELS : FINE_LEVELS + 1]:
            h_BCHW = level.stepped_up(h_BCHW)
        for level in reversed(self._levels[:FINE_LEVELS]):
            h_BCHW = level(h_BCHW, normalise)
        return self.conv_out(functional.silu(normalise(self.norm_out, h_BCHW)))

    @property
    def _levels(self) -> list[UpLevel]:
        return [level for level in self.up if isinstance(level, UpLevel)]
