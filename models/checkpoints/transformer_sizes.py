"""Sizes of FLUX's transformers, read off the shapes of their tensors, under Black Forest Labs' or Diffusers' names.

A head's position axes and the base of the rotary frequencies leave no trace in the shapes; they follow the family's rule.
"""

import math
from dataclasses import dataclass, replace

from models.checkpoints.shapes import Shapes
from models.flow.flux1 import Flux1Params
from models.flow.flux2 import Flux2Params


@dataclass(frozen=True)
class Telltales:
    """Names of the tensors and numbered parts from which the sizes follow.

    Attributes:
        img_in: hidden_size x in_channels.
        txt_in: hidden_size x context_in_dim.
        query_norm: as long as a head has channels.
        mlp_in: first layer of a feed-forward layer; its rows are channels into the activation.
        out: out_channels x hidden_size.
        guidance: there exactly when the network reads guidance strengths.
        double_blocks: what names of blocks with separate weights begin with.
        single_blocks: what names of blocks with shared weights begin with.
        mark: a tensor that no other family has.
    """

    img_in: str
    txt_in: str
    query_norm: str
    mlp_in: str
    out: str
    guidance: str
    double_blocks: str
    single_blocks: str
    mark: str

    def fit(self, shapes: Shapes) -> bool:
        """Whether the file holds such a network."""
        return shapes.has(self.img_in, self.txt_in, self.query_norm, self.mark)


FLUX1_NATIVE = Telltales(
    img_in="img_in.weight",
    txt_in="txt_in.weight",
    query_norm="double_blocks.0.img_attn.norm.query_norm.scale",
    mlp_in="double_blocks.0.img_mlp.0.weight",
    out="final_layer.linear.weight",
    guidance="guidance_in.in_layer.weight",
    double_blocks="double_blocks.",
    single_blocks="single_blocks.",
    mark="vector_in.in_layer.weight",
)
FLUX2_NATIVE = replace(FLUX1_NATIVE, mark="single_stream_modulation.lin.weight")
FLUX1_DIFFUSERS = Telltales(
    img_in="x_embedder.weight",
    txt_in="context_embedder.weight",
    query_norm="single_transformer_blocks.0.attn.norm_q.weight",
    mlp_in="single_transformer_blocks.0.proj_mlp.weight",
    out="proj_out.weight",
    guidance="time_text_embed.guidance_embedder.linear_1.weight",
    double_blocks="transformer_blocks.",
    single_blocks="single_transformer_blocks.",
    mark="time_text_embed.text_embedder.linear_1.weight",
)
FLUX2_DIFFUSERS = Telltales(
    img_in="x_embedder.weight",
    txt_in="context_embedder.weight",
    query_norm="transformer_blocks.0.attn.norm_q.weight",
    mlp_in="transformer_blocks.0.ff.linear_in.weight",
    out="proj_out.weight",
    guidance="time_guidance_embed.guidance_embedder.linear_1.weight",
    double_blocks="transformer_blocks.",
    single_blocks="single_transformer_blocks.",
    mark="single_stream_modulation.linear.weight",
)


@dataclass(frozen=True)
class _Common:
    hidden_size: int
    in_channels: int
    out_channels: int
    context_in_dim: int
    head_dim: int
    depth: int
    depth_single_blocks: int
    guidance_embed: bool

    @property
    def num_heads(self) -> int:
        return self.hidden_size // self.head_dim


def flux1_sizes(shapes: Shapes, names: Telltales) -> Flux1Params:
    """Sizes of the FLUX.1 transformer that the file holds.

    Raises:
        MissingKeys, ShapeMismatch: no such network has these tensors.
    """
    common = _common(shapes, names)
    axis = 2 * (7 * common.head_dim // 32)
    axes_dim = (common.head_dim - 2 * axis, axis, axis)
    if common.head_dim % 2 or min(axes_dim) < 2:
        raise shapes.refusal(names.query_norm, "an even number of channels, at least 6")
    return Flux1Params(
        in_channels=common.in_channels,
        out_channels=common.out_channels,
        vec_in_dim=shapes.of(names.mark, 2)[1],
        context_in_dim=common.context_in_dim,
        hidden_size=common.hidden_size,
        num_heads=common.num_heads,
        depth=common.depth,
        depth_single_blocks=common.depth_single_blocks,
        axes_dim=axes_dim,
        mlp_ratio=_ratio(shapes.of(names.mlp_in, 2)[0], common.hidden_size),
        guidance_embed=common.guidance_embed,
    )


def flux2_sizes(shapes: Shapes, names: Telltales) -> Flux2Params:
    """Sizes of the FLUX.2 transformer that the file holds.

    Raises:
        MissingKeys, ShapeMismatch: no such network has these tensors.
    """
    common = _common(shapes, names)
    mlp_in = shapes.of(names.mlp_in, 2)[0]
    if common.head_dim % 8:
        raise shapes.refusal(names.query_norm, "a multiple of 8 channels")
    if common.in_channels != common.out_channels:
        raise shapes.refusal(names.out, f"{common.in_channels} rows, as many as channels go in")
    if mlp_in % 2:
        raise shapes.refusal(names.mlp_in, "an even number of rows")
    return Flux2Params(
        in_channels=common.in_channels,
        context_in_dim=common.context_in_dim,
        hidden_size=common.hidden_size,
        num_heads=common.num_heads,
        depth=common.depth,
        depth_single_blocks=common.depth_single_blocks,
        axes_dim=(common.head_dim // 4,) * 4,
        mlp_ratio=_ratio(mlp_in // 2, common.hidden_size),
        guidance_embed=common.guidance_embed,
    )


def _common(shapes: Shapes, names: Telltales) -> _Common:
    hidden_size, in_channels = shapes.of(names.img_in, 2)
    (head_dim,) = shapes.of(names.query_norm, 1)
    if hidden_size % head_dim:
        raise shapes.refusal(names.query_norm, f"a divisor of {hidden_size}, the rows of {shapes.prefix}{names.img_in}")
    return _Common(
        hidden_size=hidden_size,
        in_channels=in_channels,
        out_channels=shapes.of(names.out, 2)[0],
        context_in_dim=shapes.of(names.txt_in, 2)[1],
        head_dim=head_dim,
        depth=shapes.count(names.double_blocks),
        depth_single_blocks=shapes.count(names.single_blocks),
        guidance_embed=shapes.has(names.guidance),
    )


def _ratio(mlp_size: int, hidden_size: int) -> float:
    """A ratio whose product with hidden_size, cut to a whole number, is mlp_size."""
    ratio = mlp_size / hidden_size
    return ratio if int(hidden_size * ratio) == mlp_size else math.nextafter(ratio, math.inf)
