"""Qwen3 text encoders in transformers' folder layout, loaded as far as their layers are read."""

import re
from pathlib import Path

import torch
from transformers import Qwen3Config

from models.checkpoints.config import Config
from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.text import QWEN3
from models.checkpoints.load import load_network
from models.errors import MalformedConfig
from models.text.qwen3 import Qwen3Encoder

STEM = "model"
ARCHITECTURE = "Qwen3ForCausalLM"
_LAYER = re.compile(r"model\.layers\.(\d+)\.")


def load_text_encoder(
    folder: Path, out_layers: tuple[int, ...], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Qwen3Encoder:
    """Load the layers of a Qwen3ForCausalLM that out_layers need.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit, or the network has too few layers.
    """
    config = _config(folder)
    depth = config.num_hidden_layers
    if max(out_layers) > depth:
        raise MalformedConfig(f"{folder} has {depth} layers; the features need layer {max(out_layers)}")
    is_cut = max(out_layers) < depth

    def is_unused(name: str) -> bool:
        layer = _LAYER.match(name)
        is_above = layer is not None and max(out_layers) <= int(layer[1]) < depth
        return name == "lm_head.weight" or is_above or (is_cut and name == "model.norm.weight")

    encoder = load_network(
        lambda: Qwen3Encoder(config, out_layers),
        TensorFiles.of_component(folder, STEM),
        QWEN3,
        device=torch.device(device),
        dtype=dtype,
        is_unused=is_unused,
    )
    encoder.compute_rotary_frequencies(torch.device(device))
    return encoder


def _config(folder: Path) -> Qwen3Config:
    path = folder / "config.json"
    if ARCHITECTURE not in Config(path).texts("architectures"):
        raise MalformedConfig(f"{path} names no {ARCHITECTURE}")
    try:
        return Qwen3Config.from_pretrained(  # pyright: ignore[reportUnknownMemberType] (PathLike without its argument)
            str(folder), local_files_only=True
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise MalformedConfig(f"{path} is no configuration of Qwen3: {error}") from error
