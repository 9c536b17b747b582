"""The transformer of FLUX.2 and FLUX.2 klein: noisy picture tokens and text features to a velocity.

Parameters carry Black Forest Labs' names and fused layout (github.com/black-forest-labs/flux2, src/flux2/model.py). Unlike FLUX.1
there are no biases, no pooled text vector, and one modulation shared by all blocks of a kind. Reading files belongs to
models.checkpoints, noise and steps to models.samplers.

Shape suffixes: B = rows, L = tokens, C = channels, 4 = axes of a position (reference, row, column, text position).
Time: 1 is pure noise, 0 is the picture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.flow.transformer import Transformer
from models.layers.feed_forward import SwiGlu
from models.layers.layouts import SideBySide
from models.layers.modulation import Modulation, side_by_side
from models.layers.sizes import TransformerSizes
from models.layers.streams import BlockSizes, DoubleStream, LastLayer, SingleStream
from models.layers.timestep import NUM_FEATURES, MlpEmbedder, conditioning_vector


@dataclass(frozen=True)
class Flux2Params(TransformerSizes):
    """Sizes of the network. The defaults are those of FLUX.2 [dev].

    Attributes:
        in_channels: channels of a picture token, in and out.
        context_in_dim: channels of a text token.
        hidden_size: width of the residual stream.
        num_heads: attention heads; hidden_size / num_heads is the sum of axes_dim.
        depth: blocks with separate weights for picture and text.
        depth_single_blocks: blocks with shared weights after them.
        axes_dim: channels of a head that encode each of the four position axes.
        theta: base of the rotary frequencies.
        mlp_ratio: width of a feed-forward layer over hidden_size.
        guidance_embed: whether the guidance strength is an input of the network.
    """

    in_channels: int = 128
    context_in_dim: int = 15360
    hidden_size: int = 6144
    num_heads: int = 48
    depth: int = 8
    depth_single_blocks: int = 48
    axes_dim: tuple[int, ...] = (32, 32, 32, 32)
    theta: int = 2000
    mlp_ratio: float = 3.0
    guidance_embed: bool = True

    @property
    def block(self) -> BlockSizes:
        """What all blocks have in common."""
        return BlockSizes(self.hidden_size, self.num_heads, self.mlp_size, SwiGlu, bias=False)


class Flux2(Transformer):
    """FLUX.2's transformer (BFL `Flux2`)."""

    modulations = (1, 1)

    def __init__(self, params: Flux2Params) -> None:
        super().__init__()
        self.params = self.sizes = params
        d = params.hidden_size
        self.img_in = nn.Linear(params.in_channels, d, bias=False)
        self.time_in = MlpEmbedder(NUM_FEATURES, d, bias=False)
        self.txt_in = nn.Linear(params.context_in_dim, d, bias=False)
        self.guidance_in = MlpEmbedder(NUM_FEATURES, d, bias=False) if params.guidance_embed else None
        self.double_blocks = nn.ModuleList(DoubleStream(params.block) for _ in range(params.depth))
        self.single_blocks = nn.ModuleList(SingleStream(params.block) for _ in range(params.depth_single_blocks))
        self.double_stream_modulation_img = Modulation(d, num_sublayers=2, bias=False)
        self.double_stream_modulation_txt = Modulation(d, num_sublayers=2, bias=False)
        self.single_stream_modulation = Modulation(d, num_sublayers=1, bias=False)
        self.final_layer = LastLayer(d, params.in_channels, bias=False)

    def vectors(self, timesteps_B: Tensor, guidance_B: Tensor | None, dtype: torch.dtype) -> Tensor:
        """The conditioning vector of every row, B x C, in the network's dtype; other arguments as of forward."""
        return conditioning_vector(self.time_in, self.guidance_in, timesteps_B, guidance_B, dtype)

    def modulation_vectors(self, vec_TC: Tensor) -> list[Tensor]:
        active_TC = functional.silu(vec_TC)
        image, text = self.double_stream_modulation_img, self.double_stream_modulation_txt
        made = [make(active_TC) for make in (image, text, self.single_stream_modulation)]
        return [*made, self.final_layer.vectors(vec_TC)]

    def forward(
        self,
        x_BLC: Tensor,
        x_ids_BL4: Tensor,
        timesteps_B: Tensor,
        context_BLC: Tensor,
        context_ids_BL4: Tensor,
        guidance_B: Tensor | None = None,
        query_chunk: int | None = None,
    ) -> Tensor:
        """Predict the velocity dx/dt of every picture token.

        Args:
            x_BLC: picture tokens at time timesteps_B; reference tokens may follow them.
            x_ids_BL4: their positions: (0, row, column, 0), of reference k (10 + 10 k, row, column, 0).
            timesteps_B: times in [0, 1].
            context_BLC: text features; padding takes part like any other token.
            context_ids_BL4: their positions, (0, 0, 0, l).
            guidance_B: guidance strength of each row, exactly when params.guidance_embed.
            query_chunk: queries that attend at a time, to save memory; None for all.

        Returns:
            Velocities of all tokens of x_BLC, those of reference tokens without meaning.
        """
        vec_BC = self.vectors(timesteps_B, guidance_B, x_BLC.dtype)
        turns_BLP = self.turns(torch.cat([context_ids_BL4, x_ids_BL4], dim=1))
        layout = SideBySide(context_BLC.shape[1], turns_BLP, query_chunk)
        return self.blocks(self.img_in(x_BLC), self.txt_in(context_BLC), side_by_side(self.table(vec_BC)), layout)
