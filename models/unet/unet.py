"""The UNet of Stable Diffusion 1.5, SDXL, its refiner, and their inpainting variants (Rombach et al. 2022, arXiv:2112.10752;
Podell et al. 2023, arXiv:2307.01952).

What the network predicts (noise, or velocity in Salimans & Ho's sense) its file does not say; that belongs to models.samplers, files to
models.checkpoints.

Shape suffixes: B = rows, C = channels, H, W = rows and columns, S = text tokens, K = numbers, F = sinusoidal features.
Time: steps of training, 0 to 999, the last being pure noise; they need not be whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.timestep import sinusoidal_features
from models.unet.attention import Context, CrossAttention, SelfAttention, TransformerSizes
from models.unet.blocks import BlockSizes, DownLevel, Middle, UpLevel


@dataclass(frozen=True)
class AddedSizes:
    """What SDXL reads beside time and text: the pooled prompt, and numbers such as the picture's size.

    Attributes:
        pooled_channels: of the pooled prompt.
        num_numbers: 6 in SDXL (original size, crop, target size), 5 in its refiner (original size, crop, aesthetic score).
        number_features: sinusoidal features of each of them.
    """

    pooled_channels: int = 1280
    num_numbers: int = 6
    number_features: int = 256

    @property
    def channels(self) -> int:
        """Of all together."""
        return self.pooled_channels + self.num_numbers * self.number_features


@dataclass(frozen=True)
class UnetParams:
    """Sizes of the network. The defaults are those of Stable Diffusion 1.5.

    Attributes:
        in_channels: 4 latents, and what stands beside them: 5 more to inpaint.
        out_channels: channels of a prediction.
        block_channels: channels of each resolution level, the finest first; every further level halves the resolution.
        depths: transformer blocks after each residual block of a level; 0 for a level without attention.
        middle_depth: those between the residual blocks at the coarsest resolution, at least 1.
        heads: attention heads of each level; the middle has those of the last one.
        layers_per_block: residual blocks a level on the way down; one more on the way up.
        context_channels: of a text token.
        added: what the network reads beside time and text; None for nothing.
        norm_num_groups: groups of every group norm; divides all block channels.
        norm_eps: of the group norms of residual blocks.
        linear_projection: whether the layers around transformer blocks are published as matrices, not as 1 x 1 convolutions.
    """

    in_channels: int = 4
    out_channels: int = 4
    block_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    depths: tuple[int, ...] = (1, 1, 1, 0)
    middle_depth: int = 1
    heads: tuple[int, ...] = (8, 8, 8, 8)
    layers_per_block: int = 2
    context_channels: int = 768
    added: AddedSizes | None = None
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    linear_projection: bool = False

    def __post_init__(self) -> None:
        if not len(self.block_channels) == len(self.depths) == len(self.heads):
            raise ValueError(f"levels differ: {self.block_channels}, depths {self.depths}, heads {self.heads}")
        for channels, heads in zip(self.block_channels, self.heads, strict=True):
            if channels % heads or channels % self.norm_num_groups:
                raise ValueError(
                    f"{channels} channels are no multiple of {heads} heads and {self.norm_num_groups} groups"
                )

    @property
    def vec_channels(self) -> int:
        """Channels of the vector that says time and added conditioning."""
        return 4 * self.block_channels[0]

    @property
    def skip_channels(self) -> list[int]:
        """Channels of the maps that the way down hands to the way up, in order."""
        last = len(self.block_channels) - 1
        skips = [self.block_channels[0]]
        for level, channels in enumerate(self.block_channels):
            skips.extend([channels] * (self.layers_per_block + (level < last)))
        return skips

    @property
    def num_skips(self) -> int:
        """Maps that the way down hands to the way up."""
        return len(self.skip_channels)

    @property
    def cross_attention_channels(self) -> tuple[int, ...]:
        """Channels of all cross-attentions: of the way down, the way up and the middle, in the order that image adapters count."""
        ways = zip(self.block_channels, self.depths, strict=True)
        down = [(channels, depth * self.layers_per_block) for channels, depth in ways]
        ways = zip(self.block_channels[::-1], self.depths[::-1], strict=True)
        up = [(channels, depth * (self.layers_per_block + 1)) for channels, depth in ways]
        every = [*down, *up, (self.block_channels[-1], self.middle_depth)]
        return tuple(channels for channels, times in every for _ in range(times))

    def attention(self, level: int, depth: int) -> TransformerSizes:
        """Sizes of the transformers of a level."""
        return TransformerSizes(
            self.block_channels[level], self.heads[level], depth, self.context_channels, self.linear_projection
        )


@dataclass(frozen=True, eq=False)
class Added:
    """What SDXL reads beside time and text.

    Attributes:
        pooled_BC: features of the whole prompt.
        numbers_BK: the picture's size and what else the network was told of it when it was trained.
    """

    pooled_BC: Tensor
    numbers_BK: Tensor


@dataclass(frozen=True, eq=False)
class Residuals:
    """What is added to a UNet's maps from outside (ControlNet: Zhang et al. 2023, arXiv:2302.05543).

    Attributes:
        down: one for each of params.num_skips maps that the way down hands on, in order.
        middle: for the map at the coarsest resolution, after its blocks.
    """

    down: Sequence[Tensor]
    middle: Tensor


class Embedding(nn.Module):
    """Two linear layers with SiLU between them."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_channels, channels)
        self.linear_2 = nn.Linear(channels, channels)

    def forward(self, x_BF: Tensor) -> Tensor:
        return self.linear_2(functional.silu(self.linear_1(x_BF)))


class Encoder(nn.Module):
    """The embeddings, the way down and the middle: what a UNet and the ControlNets beside it have in common."""

    def __init__(self, params: UnetParams) -> None:
        super().__init__()
        self.params = params
        channels = params.block_channels
        self.conv_in = nn.Conv2d(params.in_channels, channels[0], 3, padding=1)
        self.time_embedding = Embedding(channels[0], params.vec_channels)
        self.add_embedding = None if params.added is None else Embedding(params.added.channels, params.vec_channels)
        self.down_blocks = nn.ModuleList(_down_level(params, level) for level in range(len(channels)))
        self.mid_block = Middle(params.attention(-1, params.middle_depth), _block_sizes(params))

    def vectors(self, timesteps_B: Tensor, added: Added | None, dtype: torch.dtype) -> Tensor:
        """What residual blocks read: time and added conditioning, B x C. It does not depend on the latents.

        Args:
            timesteps_B: 0 to 999, in any dtype.
            added: exactly when the network reads it (params.added).
            dtype: in which the network runs.
        """
        if (added is None) != (self.add_embedding is None):
            raise ValueError("added conditioning belongs to networks that read it, and to no other")
        vec_BC = self.time_embedding(_features(timesteps_B, self.params.block_channels[0]).to(dtype))
        if added is None or self.add_embedding is None or self.params.added is None:
            return vec_BC
        features_BKF = _features(added.numbers_BK.flatten(), self.params.added.number_features)
        told_BF = features_BKF.reshape(len(added.numbers_BK), -1)
        return vec_BC + self.add_embedding(
            torch.cat([added.pooled_BC, told_BF.to(added.pooled_BC.dtype)], -1).to(dtype)
        )

    def encode(
        self, x_BCHW: Tensor, vec_BC: Tensor, context: Context, hint_BCHW: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Run the way down and the middle: the maps that the way down hands on, and the one after the middle.

        Args:
            x_BCHW: latents, with what stands beside them.
            vec_BC: as vectors returns it.
            context: what attention reads.
            hint_BCHW: what is added after the first convolution.
        """
        begun_BCHW = self.conv_in(x_BCHW)
        skips = [begun_BCHW if hint_BCHW is None else begun_BCHW + hint_BCHW]
        for level in self.down_blocks:
            skips.extend(level(skips[-1], vec_BC, context))
        return skips, self.mid_block(skips[-1], vec_BC, context)


class Unet(Encoder):
    """Diffusers' UNet2DConditionModel, as far as Stable Diffusion 1.5 and SDXL use it."""

    def __init__(self, params: UnetParams) -> None:
        super().__init__(params)
        channels, sizes = params.block_channels, _block_sizes(params)
        skips = params.skip_channels
        self.up_blocks = nn.ModuleList(_up_level(params, level, skips) for level in reversed(range(len(channels))))
        self.conv_norm_out = sizes.norm(channels[0])
        self.conv_out = nn.Conv2d(channels[0], params.out_channels, 3, padding=1)
        for place, attention in enumerate(self.cross_attentions()):
            attention.place = place
        for place, (_, attention) in enumerate(self.self_attentions()):
            attention.place = place

    def self_attentions(self) -> Iterator[tuple[str, SelfAttention]]:
        """All of them by the names of their modules, in the order of their places."""
        named = cast("Iterator[tuple[str, nn.Module]]", self.named_modules())  # torch leaves it untyped
        for name, module in named:
            if isinstance(module, SelfAttention):
                yield name, module

    def cross_attentions(self) -> Iterator[CrossAttention]:
        """All of them, in the order of params.cross_attention_channels."""
        for part in (self.down_blocks, self.up_blocks, self.mid_block):
            yield from (module for module in part.modules() if isinstance(module, CrossAttention))

    def forward(
        self,
        x_BCHW: Tensor,
        timesteps_B: Tensor,
        text_BSC: Tensor,
        added: Added | None = None,
        residuals: Residuals | None = None,
        query_chunk: int | None = None,
    ) -> Tensor:
        """Predict what is noise in latents.

        Args:
            x_BCHW: latents of unit variance, with what stands beside them; any size of at least one position a level.
            timesteps_B: of each row, 0 to 999.
            text_BSC: text features; padding takes part like any other token.
            added: exactly when the network reads it (params.added).
            residuals: what is added to the maps of the way down and of the middle.
            query_chunk: queries that attend to each other at a time, to save memory; None for all.

        Returns:
            The prediction, B x out_channels x H x W.
        """
        vec_BC = self.vectors(timesteps_B, added, x_BCHW.dtype)
        return self.predict(x_BCHW, vec_BC, Context(text_BSC, query_chunk), residuals)

    def predict(self, x_BCHW: Tensor, vec_BC: Tensor, context: Context, residuals: Residuals | None = None) -> Tensor:
        """Run everything after the embeddings; arguments as of forward, vec_BC as vectors returns it."""
        skips, middle_BCHW = self.encode(x_BCHW, vec_BC, context)
        if residuals is not None:
            skips = [skip + more for skip, more in zip(skips, residuals.down, strict=True)]
            middle_BCHW = middle_BCHW + residuals.middle
        h_BCHW = middle_BCHW
        for level in self.up_blocks:
            h_BCHW = level(h_BCHW, vec_BC, context, skips)
        return self.conv_out(functional.silu(self.conv_norm_out(h_BCHW)))


def _features(numbers_B: Tensor, num_features: int) -> Tensor:
    return sinusoidal_features(numbers_B, num_features, factor=1.0)


def _block_sizes(params: UnetParams) -> BlockSizes:
    return BlockSizes(params.vec_channels, params.norm_num_groups, params.norm_eps)


def _down_level(params: UnetParams, level: int) -> DownLevel:
    """Build a level of the way down."""
    channels, is_last = params.block_channels[level], level == len(params.block_channels) - 1
    before = params.block_channels[max(level - 1, 0)]
    widths = [(before, channels), *[(channels, channels)] * (params.layers_per_block - 1)]
    attention = params.attention(level, params.depths[level])
    return DownLevel(widths, attention, _block_sizes(params), is_last=is_last)


def _up_level(params: UnetParams, level: int, skips: list[int]) -> UpLevel:
    """Build a level of the way back, which reads the last of what was handed on."""
    channels, last = params.block_channels[level], len(params.block_channels) - 1
    before = [params.block_channels[min(level + 1, last)], *[channels] * params.layers_per_block]
    widths = [(width + skips.pop(), channels) for width in before]
    attention = params.attention(level, params.depths[level])
    return UpLevel(widths, attention, _block_sizes(params), is_last=level == 0)
