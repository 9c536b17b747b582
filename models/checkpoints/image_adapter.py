"""IP-Adapters in the form in which their authors publish them: one file, whose shapes tell all sizes."""

from itertools import count, takewhile
from pathlib import Path

import torch

from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.image_adapter import IMAGE, image_adapter, keys_values
from models.checkpoints.load import load_network
from models.checkpoints.shapes import Shapes
from models.errors import UnknownCheckpoint
from models.image_prompt.adapter import AdapterParams, ImageAdapter, ProjectionParams
from models.image_prompt.projection import LinearParams, PatchwiseParams
from models.image_prompt.resampler import HEAD_CHANNELS, ResamplerParams

STEM = "ip_adapter"
MARK = keys_values(0)[0]


def load_image_adapter(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ImageAdapter:
    """Load the adapter in a folder, ip_adapter.safetensors.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    return _loaded(TensorFiles.of_component(folder, STEM), device, dtype)


def load_image_adapter_file(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ImageAdapter:
    """Load the adapter in a file such as ip-adapter_sd15.safetensors.

    Raises:
        CheckpointError: it is missing, malformed, or does not fit.
    """
    return _loaded(TensorFiles.of_file(path), device, dtype)


def _loaded(files: TensorFiles, device: torch.device | str, dtype: torch.dtype) -> ImageAdapter:
    params = adapter_sizes(Shapes(files.where, {name: files.shape(name) for name in files.names()}))
    table = image_adapter(params)
    return load_network(lambda: ImageAdapter(params), files, table, device=torch.device(device), dtype=dtype)


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
