"""FLUX.2's autoencoder: pictures to patchified, normalised latents and back.

Parameters carry Black Forest Labs' names (github.com/black-forest-labs/flux2, src/flux2/autoencoder.py): quant_conv sits inside
the encoder, post_quant_conv inside the decoder, and `bn` holds running statistics only. Reading files belongs to models.checkpoints.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns, S = positions (H times W).
Pictures are in [-1, 1]; a latent has one position for every patch of 2 x 2 encoder outputs.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 2


@dataclass(frozen=True)
class AutoencoderFlux2Params:
    """Sizes of the network. The defaults are those of the published FLUX.2 autoencoder.

    Attributes:
        in_channels: colour channels of a picture.
        block_channels: channels of each resolution level, the finest first; every further level halves the resolution.
        layers_per_block: residual blocks a level in the encoder; the decoder has one more.
        z_channels: channels of the encoder's output; a patchified latent has four times as many.
        norm_num_groups: groups of every group norm; divides all block channels.
    """

    in_channels: int = 3
    block_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    z_channels: int = 32
    norm_num_groups: int = 32

    @property
    def latent_channels(self) -> int:
        """Channels of a patchified latent."""
        return self.z_channels * PATCH * PATCH

    @property
    def pixels_per_position(self) -> int:
        """Side in pixels of the square that one latent position stands for."""
        return PATCH * 2 ** (len(self.block_channels) - 1)


def patchify(latent_BCHW: Tensor) -> Tensor:
    """Fold 2 x 2 neighbours into channels, ordered channel, row, column: B C 2H 2W -> B 4C H W."""
    return functional.pixel_unshuffle(latent_BCHW, PATCH)


def unpatchify(latent_BCHW: Tensor) -> Tensor:
    """Undo patchify: B 4C H W -> B C 2H 2W."""
    return functional.pixel_shuffle(latent_BCHW, PATCH)


def _norm(channels: int, params: AutoencoderFlux2Params) -> nn.GroupNorm:
    return nn.GroupNorm(params.norm_num_groups, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    """Two convolutions behind group norm and SiLU, added to their input."""

    def __init__(self, in_channels: int, out_channels: int, params: AutoencoderFlux2Params) -> None:
        super().__init__()
        self.norm1 = _norm(in_channels, params)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = _norm(out_channels, params)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self._changes_width = in_channels != out_channels

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BCHW = self.conv1(functional.silu(self.norm1(x_BCHW)))
        h_BCHW = self.conv2(functional.silu(self.norm2(h_BCHW)))
        shortcut_BCHW = self.nin_shortcut(x_BCHW) if self._changes_width else x_BCHW
        return shortcut_BCHW + h_BCHW


class AttnBlock(nn.Module):
    """Single-head attention over all positions, added to its input."""

    def __init__(self, channels: int, params: AutoencoderFlux2Params) -> None:
        super().__init__()
        self.norm = _norm(channels, params)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        h_BSC = self.norm(x_BCHW).flatten(2).transpose(1, 2)
        q_B1SC, k_B1SC, v_B1SC = (_as_linear(layer, h_BSC)[:, None] for layer in (self.q, self.k, self.v))
        h_B1SC = functional.scaled_dot_product_attention(q_B1SC, k_B1SC, v_B1SC)
        h_BSC = _as_linear(self.proj_out, h_B1SC[:, 0])
        return x_BCHW + h_BSC.transpose(1, 2).reshape(x_BCHW.shape)


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

    def __init__(self, channels: int, params: AutoencoderFlux2Params) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, params)
        self.attn_1 = AttnBlock(channels, params)
        self.block_2 = ResnetBlock(channels, channels, params)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x_BCHW)))


class DownLevel(nn.Module):
    """The encoder's residual blocks at one resolution, then the step to the next."""

    def __init__(self, in_channels: int, out_channels: int, params: AutoencoderFlux2Params, *, is_last: bool) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * params.layers_per_block
        self.block = nn.ModuleList(ResnetBlock(a, b, params) for a, b in pairwise(widths))
        self._steps_down = not is_last
        if self._steps_down:
            self.downsample = Downsample(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for block in self.block:
            x_BCHW = block(x_BCHW)
        return self.downsample(x_BCHW) if self._steps_down else x_BCHW


class UpLevel(nn.Module):
    """The decoder's residual blocks at one resolution, then the step to the next finer one."""

    def __init__(self, in_channels: int, out_channels: int, params: AutoencoderFlux2Params, *, is_last: bool) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * (params.layers_per_block + 1)
        self.block = nn.ModuleList(ResnetBlock(a, b, params) for a, b in pairwise(widths))
        self._steps_up = not is_last
        if self._steps_up:
            self.upsample = Upsample(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for block in self.block:
            x_BCHW = block(x_BCHW)
        return self.upsample(x_BCHW) if self._steps_up else x_BCHW


class Encoder(nn.Module):
    """Pictures to means and log-variances, 2 * z_channels together, before patchifying."""

    def __init__(self, params: AutoencoderFlux2Params) -> None:
        super().__init__()
        channels = params.block_channels
        z2 = 2 * params.z_channels
        self.quant_conv = nn.Conv2d(z2, z2, 1)
        self.conv_in = nn.Conv2d(params.in_channels, channels[0], 3, padding=1)
        last = len(channels) - 1
        self.down = nn.ModuleList(
            DownLevel(channels[max(i - 1, 0)], channels[i], params, is_last=i == last) for i in range(len(channels))
        )
        self.mid = Middle(channels[-1], params)
        self.norm_out = _norm(channels[-1], params)
        self.conv_out = nn.Conv2d(channels[-1], z2, 3, padding=1)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        h_BCHW = self.conv_in(image_BCHW)
        for level in self.down:
            h_BCHW = level(h_BCHW)
        h_BCHW = functional.silu(self.norm_out(self.mid(h_BCHW)))
        return self.quant_conv(self.conv_out(h_BCHW))


class Decoder(nn.Module):
    """Unpatchified latents to pictures. `up` counts from the finest level, as in the published files."""

    def __init__(self, params: AutoencoderFlux2Params) -> None:
        super().__init__()
        channels = params.block_channels
        self.post_quant_conv = nn.Conv2d(params.z_channels, params.z_channels, 1)
        self.conv_in = nn.Conv2d(params.z_channels, channels[-1], 3, padding=1)
        self.mid = Middle(channels[-1], params)
        last = len(channels) - 1
        self.up = nn.ModuleList(
            UpLevel(channels[min(i + 1, last)], channels[i], params, is_last=i == 0) for i in range(len(channels))
        )
        self.norm_out = _norm(channels[0], params)
        self.conv_out = nn.Conv2d(channels[0], params.in_channels, 3, padding=1)

    def forward(self, z_BCHW: Tensor) -> Tensor:
        h_BCHW = self.mid(self.conv_in(self.post_quant_conv(z_BCHW)))
        for level in reversed(self.up):
            h_BCHW = level(h_BCHW)
        return self.conv_out(functional.silu(self.norm_out(h_BCHW)))


class AutoencoderFlux2(nn.Module):
    """The autoencoder of FLUX.2 (BFL `AutoEncoder`).

    Convolutions run in the memory format of their weights: channels-last in a new network, which trains faster, and contiguous
    in one that models.checkpoints has loaded, because only so are bfloat16 pictures equal to Diffusers' bit for bit.
    """

    def __init__(self, params: AutoencoderFlux2Params) -> None:
        super().__init__()
        self.params = params
        self.encoder = Encoder(params)
        self.decoder = Decoder(params)
        self.bn = nn.BatchNorm2d(params.latent_channels, eps=1e-4, momentum=0.1, affine=False)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (missing from torch's stubs)

    def encode(self, image_BCHW: Tensor) -> Tensor:
        """Map pictures to normalised latents.

        Args:
            image_BCHW: pictures in [-1, 1]; both sides are multiples of params.pixels_per_position.

        Returns:
            The encoder's mean (no sample is drawn), patchified and normalised by the running statistics:
            params.latent_channels channels, each of about zero mean and unit variance on the training data.
        """
        return self.normalise(patchify(self.encode_mean(image_BCHW)))

    def decode(self, latent_BCHW: Tensor) -> Tensor:
        """Map normalised latents, as encode returns them, to pictures. Values may leave [-1, 1] a little."""
        return self.decode_mean(unpatchify(self.denormalise(latent_BCHW)))

    def encode_mean(self, image_BCHW: Tensor) -> Tensor:
        """Return the encoder's mean, z_channels at twice a latent's resolution; training works on these."""
        moments_BCHW = self.encoder(image_BCHW)
        return moments_BCHW[:, : self.params.z_channels]

    def decode_mean(self, z_BCHW: Tensor) -> Tensor:
        """Map encoder means (z_channels) to pictures; training works on these."""
        return self.decoder(z_BCHW)

    def normalise(self, latent_BCHW: Tensor) -> Tensor:
        """Subtract the running mean and divide by the running deviation, channel by channel, in the latents' dtype."""
        mean_C11, std_C11 = self._statistics(latent_BCHW.dtype)
        return (latent_BCHW - mean_C11) / std_C11

    def denormalise(self, latent_BCHW: Tensor) -> Tensor:
        """Undo normalise."""
        mean_C11, std_C11 = self._statistics(latent_BCHW.dtype)
        return latent_BCHW * std_C11 + mean_C11

    def _statistics(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        mean_C, var_C = self.bn.running_mean, self.bn.running_var
        if mean_C is None or var_C is None:
            raise RuntimeError("the batch norm keeps no running statistics")
        std_C = (var_C + self.bn.eps).sqrt()
        return mean_C.to(dtype)[:, None, None], std_C.to(dtype)[:, None, None]
