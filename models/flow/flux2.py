"""The transformer of FLUX.2 and FLUX.2 klein: noisy picture tokens and text features to a velocity.

Parameters carry Black Forest Labs' names and fused layout (github.com/black-forest-labs/flux2, src/flux2/model.py). Unlike FLUX.1
there are no biases, no pooled text vector, and one modulation shared by all blocks of a kind. Reading files belongs to
models.checkpoints, noise and steps to models.samplers.

Shape suffixes: B = rows, L = tokens, C = channels, 4 = axes of a position (reference, row, column, text position).
Time: 1 is pure noise, 0 is the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers.attention import JointAttention
from models.layers.feed_forward import SwiGlu
from models.layers.modulation import Modulated, Modulation
from models.layers.rope import Rotation, rotation_angles
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


class DoubleStreamBlock(DoubleStream):
    """A block for text and picture, modulated from outside."""

    def forward(
        self,
        img_BLC: Tensor,
        txt_BLC: Tensor,
        img_mod: Sequence[Modulated],
        txt_mod: Sequence[Modulated],
        attend: JointAttention,
    ) -> tuple[Tensor, Tensor]:
        return self.mixed(img_BLC, txt_BLC, img_mod, txt_mod, attend)


class SingleStreamBlock(SingleStream):
    """A block for text and picture together, modulated from outside."""

    def forward(self, x_BLC: Tensor, mod: Modulated, attend: JointAttention) -> Tensor:
        return self.mixed(x_BLC, mod, attend)


class Flux2(nn.Module):
    """FLUX.2's transformer (BFL `Flux2`)."""

    def __init__(self, params: Flux2Params) -> None:
        super().__init__()
        self.params = params
        d = params.hidden_size
        self.img_in = nn.Linear(params.in_channels, d, bias=False)
        self.time_in = MlpEmbedder(NUM_FEATURES, d, bias=False)
        self.txt_in = nn.Linear(params.context_in_dim, d, bias=False)
        self.guidance_in = MlpEmbedder(NUM_FEATURES, d, bias=False) if params.guidance_embed else None
        self.double_blocks = nn.ModuleList(DoubleStreamBlock(params.block) for _ in range(params.depth))
        self.single_blocks = nn.ModuleList(SingleStreamBlock(params.block) for _ in range(params.depth_single_blocks))
        self.double_stream_modulation_img = Modulation(d, num_sublayers=2, bias=False)
        self.double_stream_modulation_txt = Modulation(d, num_sublayers=2, bias=False)
        self.single_stream_modulation = Modulation(d, num_sublayers=1, bias=False)
        self.final_layer = LastLayer(d, params.in_channels, bias=False)

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
        vec_BC = conditioning_vector(self.time_in, self.guidance_in, timesteps_B, guidance_B, x_BLC.dtype)
        ids_BL4 = torch.cat([context_ids_BL4, x_ids_BL4], dim=1)
        rotation = Rotation(rotation_angles(ids_BL4, self.params.axes_dim, self.params.theta))
        attend = JointAttention(rotation, query_chunk)
        img_mod = self.double_stream_modulation_img(vec_BC)
        txt_mod = self.double_stream_modulation_txt(vec_BC)
        (single_mod,) = self.single_stream_modulation(vec_BC)

        img_BLC, txt_BLC = self.img_in(x_BLC), self.txt_in(context_BLC)
        for block in self.double_blocks:
            img_BLC, txt_BLC = block(img_BLC, txt_BLC, img_mod, txt_mod, attend)
        joint_BLC = torch.cat([txt_BLC, img_BLC], dim=1)
        for block in self.single_blocks:
            joint_BLC = block(joint_BLC, single_mod, attend)
        return self.final_layer(joint_BLC[:, txt_BLC.shape[1] :], vec_BC)
