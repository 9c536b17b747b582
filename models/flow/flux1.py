"""The transformer of FLUX.1, in all its variants: noisy picture tokens and text features to a velocity.

Parameters carry Black Forest Labs' names and fused layout (github.com/black-forest-labs/flux, src/flux/model.py). Variants differ in
what stands beside the latents in a token (Fill, Canny, Depth), in whether they read a guidance strength (not schnell), and in tokens
that the caller appends (Kontext). Reading files belongs to models.checkpoints, noise and steps to models.samplers.

Shape suffixes: B = rows, L = tokens, C = channels, 3 = axes of a position (reference, row, column).
Time: 1 is pure noise, 0 is the picture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.flow.transformer import Transformer
from models.layers.feed_forward import TanhGelu
from models.layers.layouts import SideBySide
from models.layers.modulation import Modulation, side_by_side
from models.layers.sizes import TransformerSizes
from models.layers.streams import BlockSizes, DoubleStream, LastLayer, SingleStream
from models.layers.timestep import NUM_FEATURES, MlpEmbedder, conditioning_vector


@dataclass(frozen=True)
class Flux1Params(TransformerSizes):
    """Sizes of the network. The defaults are those of FLUX.1 [dev].

    Attributes:
        in_channels: channels of a picture token that goes in: 64 latents, and what stands beside them.
        out_channels: channels of a picture token that comes out.
        vec_in_dim: channels of the pooled text vector.
        context_in_dim: channels of a text token.
        hidden_size: width of the residual stream.
        num_heads: attention heads; hidden_size / num_heads is the sum of axes_dim.
        depth: blocks with separate weights for picture and text.
        depth_single_blocks: blocks with shared weights after them.
        axes_dim: channels of a head that encode each of the three position axes.
        theta: base of the rotary frequencies.
        mlp_ratio: width of a feed-forward layer over hidden_size.
        guidance_embed: whether the guidance strength is an input of the network.
    """

    in_channels: int = 64
    out_channels: int = 64
    vec_in_dim: int = 768
    context_in_dim: int = 4096
    hidden_size: int = 3072
    num_heads: int = 24
    depth: int = 19
    depth_single_blocks: int = 38
    axes_dim: tuple[int, ...] = (16, 56, 56)
    theta: int = 10_000
    mlp_ratio: float = 4.0
    guidance_embed: bool = True

    @property
    def block(self) -> BlockSizes:
        """What all blocks have in common."""
        return BlockSizes(self.hidden_size, self.num_heads, self.mlp_size, TanhGelu, bias=True)


class DoubleStreamBlock(DoubleStream):
    """A block for text and picture, and what makes its vectors."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__(sizes)
        self.img_mod = Modulation(sizes.hidden_size, num_sublayers=2, bias=sizes.bias)
        self.txt_mod = Modulation(sizes.hidden_size, num_sublayers=2, bias=sizes.bias)


class SingleStreamBlock(SingleStream):
    """A block for text and picture together, and what makes its vectors."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__(sizes)
        self.modulation = Modulation(sizes.hidden_size, num_sublayers=1, bias=sizes.bias)


class Flux1(Transformer):
    """FLUX.1's transformer (BFL `Flux`)."""

    def __init__(self, params: Flux1Params) -> None:
        super().__init__()
        self.params = self.sizes = params
        self.modulations = (params.depth, params.depth_single_blocks)
        d = params.hidden_size
        self.img_in = nn.Linear(params.in_channels, d)
        self.time_in = MlpEmbedder(NUM_FEATURES, d, bias=True)
        self.vector_in = MlpEmbedder(params.vec_in_dim, d, bias=True)
        self.guidance_in = MlpEmbedder(NUM_FEATURES, d, bias=True) if params.guidance_embed else None
        self.txt_in = nn.Linear(params.context_in_dim, d)
        self.double_blocks = nn.ModuleList(DoubleStreamBlock(params.block) for _ in range(params.depth))
        self.single_blocks = nn.ModuleList(SingleStreamBlock(params.block) for _ in range(params.depth_single_blocks))
        self.final_layer = LastLayer(d, params.out_channels, bias=True)

    def vectors(self, timesteps_B: Tensor, pooled_BC: Tensor, guidance_B: Tensor | None) -> Tensor:
        """The conditioning vector of every row, B x C; arguments as of forward, in the network's dtype but for times."""
        vec_BC = conditioning_vector(self.time_in, self.guidance_in, timesteps_B, guidance_B, pooled_BC.dtype)
        return vec_BC + self.vector_in(pooled_BC)

    def modulation_vectors(self, vec_TC: Tensor) -> list[Tensor]:
        active_TC = functional.silu(vec_TC)
        made = [layer(active_TC) for layer in self.modules() if isinstance(layer, Modulation)]
        return [*made, self.final_layer.vectors(vec_TC)]

    def forward(
        self,
        x_BLC: Tensor,
        x_ids_BL3: Tensor,
        timesteps_B: Tensor,
        context_BLC: Tensor,
        context_ids_BL3: Tensor,
        pooled_BC: Tensor,
        guidance_B: Tensor | None = None,
        query_chunk: int | None = None,
    ) -> Tensor:
        """Predict the velocity dx/dt of every picture token.

        Args:
            x_BLC: picture tokens at time timesteps_B, with what stands beside them; reference tokens may follow.
            x_ids_BL3: their positions: (0, row, column), of Kontext's reference (1, row, column).
            timesteps_B: times in [0, 1].
            context_BLC: text features; padding takes part like any other token.
            context_ids_BL3: their positions, all zero.
            pooled_BC: features of the whole prompt.
            guidance_B: guidance strength of each row, exactly when params.guidance_embed.
            query_chunk: queries that attend at a time, to save memory; None for all.

        Returns:
            Velocities of all tokens of x_BLC, B x L x out_channels, those of reference tokens without meaning.
        """
        vec_BC = self.vectors(timesteps_B, pooled_BC, guidance_B)
        turns_BLP = self.turns(torch.cat([context_ids_BL3, x_ids_BL3], dim=1))
        layout = SideBySide(context_BLC.shape[1], turns_BLP, query_chunk)
        return self.blocks(self.img_in(x_BLC), self.txt_in(context_BLC), side_by_side(self.table(vec_BC)), layout)
