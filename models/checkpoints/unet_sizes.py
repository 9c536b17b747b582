"""Sizes of a UNet, read off the shapes of its tensors, under CompVis' or Diffusers' names.

Heads and groups leave no trace in the shapes; they follow the family's rule: 8 heads where the layers around the transformer blocks
are convolutions (Stable Diffusion 1), 64 channels a head where they are matrices (SDXL), 32 groups where that divides all channels.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

from models.checkpoints.shapes import Shapes
from models.checkpoints.unet_config import added_sizes
from models.errors import MissingKeys, ShapeMismatch
from models.unet.unet import AddedSizes, UnetParams

HEADS, HEAD_CHANNELS, GROUPS = 8, 64, 32
NUMBER_FEATURES = 256
CONTEXT = re.compile(r"attn2\.to_k\.weight$")
ASSUMED = (
    "attention heads: 8 beside convolutions, 64 channels each beside matrices",
    "32 groups in every norm, or as many as divide all channels",
)


@dataclass(frozen=True)
class Telltales:
    """Names of the tensors from which the sizes follow.

    Attributes:
        conv_in: first of all, block_channels[0] x in_channels.
        conv_out: last of all, out_channels x block_channels[0]; None where a network has no way back.
        added: first layer of what reads added conditioning; there exactly when the network does.
        middle: what names of the middle's spatial transformer begin with.
        mark: a tensor that no other kind of network has.
        levels: finds the levels of resolution.
    """

    conv_in: str
    conv_out: str | None
    added: str
    middle: str
    mark: str
    levels: "Callable[[Shapes], Levels]"

    def fit(self, shapes: Shapes) -> bool:
        """Whether the file holds such a network."""
        return shapes.has(self.conv_in, self.mark)


@dataclass(frozen=True)
class Levels:
    """The levels of the way down.

    Attributes:
        layers: residual blocks a level.
        convolutions: names of a convolution in the first residual block of each level.
        transformers: what names of the first spatial transformer of each level begin with, if it has one.
    """

    layers: int
    convolutions: tuple[str, ...]
    transformers: tuple[str, ...]


def _compvis_levels(shapes: Shapes) -> Levels:
    """CompVis number all layers: an input layer, then each level's residual blocks and the step to the next level."""
    count = shapes.count("input_blocks.")
    layers = next((i - 1 for i in range(1, count) if shapes.has(f"input_blocks.{i}.0.op.weight")), count - 1)
    if layers < 1 or count % (layers + 1):
        raise MissingKeys(shapes.where, "missing keys", [f"{shapes.prefix}input_blocks.{count}.*"])
    firsts = range(1, count, layers + 1)
    return Levels(
        layers,
        tuple(f"input_blocks.{first}.0.out_layers.3.weight" for first in firsts),
        tuple(f"input_blocks.{first}.1." for first in firsts),
    )


def _diffusers_levels(shapes: Shapes) -> Levels:
    levels = range(shapes.count("down_blocks."))
    return Levels(
        shapes.count("down_blocks.0.resnets."),
        tuple(f"down_blocks.{level}.resnets.0.conv2.weight" for level in levels),
        tuple(f"down_blocks.{level}.attentions.0." for level in levels),
    )


COMPVIS = Telltales(
    conv_in="input_blocks.0.0.weight",
    conv_out="out.2.weight",
    added="label_emb.0.0.weight",
    middle="middle_block.1.",
    mark="time_embed.0.weight",
    levels=_compvis_levels,
)
DIFFUSERS = Telltales(
    conv_in="conv_in.weight",
    conv_out="conv_out.weight",
    added="add_embedding.linear_1.weight",
    middle="mid_block.attentions.0.",
    mark="down_blocks.0.resnets.0.time_emb_proj.weight",
    levels=_diffusers_levels,
)


def unet_sizes(shapes: Shapes, names: Telltales) -> UnetParams:
    """Sizes of the UNet that the file holds.

    Raises:
        MissingKeys, ShapeMismatch: no such network has these tensors.
    """
    found = names.levels(shapes)
    channels = tuple(shapes.of(name, 4)[0] for name in found.convolutions)
    context_channels = shapes.of(_context(shapes), 2)[1]
    is_linear = not has_convolutions(shapes, names)
    try:
        return UnetParams(
            in_channels=shapes.of(names.conv_in, 4)[1],
            out_channels=UnetParams().out_channels if names.conv_out is None else shapes.of(names.conv_out, 4)[0],
            block_channels=channels,
            depths=tuple(_depth(shapes, prefix) for prefix in found.transformers),
            middle_depth=_depth(shapes, names.middle),
            heads=tuple(max(width // HEAD_CHANNELS, 1) if is_linear else HEADS for width in channels),
            layers_per_block=found.layers,
            context_channels=context_channels,
            added=_added(shapes, names.added, context_channels),
            norm_num_groups=gcd(GROUPS, *channels),
            linear_projection=is_linear,
        )
    except ValueError as error:
        raise ShapeMismatch(shapes.where, "wrong shapes", [str(error)]) from error


def has_convolutions(shapes: Shapes, names: Telltales) -> bool:
    """Whether the layers around the transformer blocks are convolutions."""
    proj_in = f"{names.middle}proj_in.weight"
    return len(shapes.of(proj_in, 2 if shapes.rank(proj_in) == 2 else 4)) == 4


def _context(shapes: Shapes) -> str:
    name = shapes.any_name(CONTEXT)
    if name is None:
        raise MissingKeys(shapes.where, "missing keys", [f"{shapes.prefix}*.attn2.to_k.weight"])
    return name


def _depth(shapes: Shapes, transformer: str) -> int:
    """Transformer blocks of a level; 0 for one without attention."""
    return shapes.count(f"{transformer}transformer_blocks.") if shapes.has(f"{transformer}proj_in.weight") else 0


def _added(shapes: Shapes, name: str, context_channels: int) -> AddedSizes | None:
    if not shapes.has(name):
        return None
    added = added_sizes(shapes.of(name, 2)[1], NUMBER_FEATURES, context_channels)
    if added.pooled_channels < 1:
        raise shapes.refusal(name, f"wide enough for {added.num_numbers} numbers of {NUMBER_FEATURES} features")
    return added
