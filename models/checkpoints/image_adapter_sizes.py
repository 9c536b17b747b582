"""Sizes of an IP-Adapter, read off the shapes of its tensors, under its authors' names."""

from itertools import count, takewhile

from models.checkpoints.keymaps.image_adapter import IMAGE, keys_values
from models.checkpoints.shapes import Shapes
from models.errors import UnknownCheckpoint
from models.image_prompt.adapter import AdapterParams, ProjectionParams
from models.image_prompt.projection import LinearParams, PatchwiseParams
from models.image_prompt.resampler import HEAD_CHANNELS, ResamplerParams

MARK = keys_values(0)[0]


def is_image_adapter(shapes: Shapes) -> bool:
    """Whether a file holds an IP-Adapter, of whatever kind."""
    return shapes.has(MARK)


def adapter_sizes(shapes: Shapes) -> AdapterParams:
    """Sizes of the adapter that a file holds.

    Raises:
        MissingKeys, ShapeMismatch: no adapter has these tensors.
        UnknownCheckpoint: its projection is of a kind that is not known, such as those that read a face's identity.
    """
    places = takewhile(shapes.has, (keys_values(place)[0] for place in count()))
    channels = tuple(shapes.of(name, 2)[0] for name in places) or (shapes.of(MARK, 2)[0],)
    return AdapterParams(_projection(shapes.under(IMAGE)), channels)


def _projection(shapes: Shapes) -> ProjectionParams:
    if shapes.has("proj.weight"):
        return _linear(shapes)
    if shapes.has("proj.3.weight"):
        out_channels, in_channels = shapes.of("proj.2.weight", 2)
        return PatchwiseParams(in_channels, out_channels)
    if shapes.has("latents") and not shapes.has("perceiver_resampler.proj_in.weight"):
        return _resampler(shapes)
    raise UnknownCheckpoint(
        shapes.where, "an IP-Adapter whose image projection is of a kind that is not read here", shapes.names()
    )


def _linear(shapes: Shapes) -> LinearParams:
    rows, in_channels = shapes.of("proj.weight", 2)
    (out_channels,) = shapes.of("norm.weight", 1)
    if rows % out_channels:
        raise shapes.refusal("proj.weight", f"a multiple of {out_channels} rows")
    return LinearParams(in_channels, out_channels, rows // out_channels)


def _resampler(shapes: Shapes) -> ResamplerParams:
    _, num_tokens, hidden_channels = shapes.of("latents", 3)
    inner, _ = shapes.of("layers.0.0.to_q.weight", 2)
    if inner % HEAD_CHANNELS:
        raise shapes.refusal("layers.0.0.to_q.weight", f"heads of {HEAD_CHANNELS} channels")
    return ResamplerParams(
        in_channels=shapes.of("proj_in.weight", 2)[1],
        hidden_channels=hidden_channels,
        out_channels=shapes.of("proj_out.weight", 2)[0],
        num_tokens=num_tokens,
        depth=shapes.count("layers."),
        heads=inner // HEAD_CHANNELS,
        inner_channels=shapes.of("layers.0.1.1.weight", 2)[0],
    )
