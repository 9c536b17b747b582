"""CLIP's vision encoder in transformers' folder layout: as much of it as is read."""

import re
from pathlib import Path

import torch
from transformers import CLIPVisionConfig

from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.image_adapter import VISION_MARK, VISION_PREFIXES, clip_vision
from models.checkpoints.keymaps.text import prefix_in
from models.checkpoints.load import load_network
from models.checkpoints.transformers_config import read_network_config
from models.vision.clip import ClipVisionEncoder

STEM = "model"
ARCHITECTURE = "CLIPVisionModelWithProjection"


def load_clip_vision(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *, patches: bool
) -> ClipVisionEncoder:
    """Load a CLIPVisionModelWithProjection.

    Args:
        folder: its config.json and safetensors.
        device: where it shall live.
        dtype: in which it shall run.
        patches: whether the states of patches before the last layer are read; what comes after them is left out then.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    config = read_network_config(folder, CLIPVisionConfig, ARCHITECTURE)
    files = TensorFiles.of_component(folder, STEM)
    prefix = prefix_in(files.names(), VISION_PREFIXES, VISION_MARK)
    last = rf"encoder\.layers\.{config.num_hidden_layers - 1}\..+|post_layernorm\..+"
    begun = re.compile(rf"{re.escape(prefix)}(embeddings\.position_ids{'|' + last if patches else ''})")
    encoder = load_network(
        lambda: ClipVisionEncoder(config, patches=patches),
        files,
        clip_vision(prefix),
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: begun.fullmatch(name) is not None or (patches and name == "visual_projection.weight"),
    )
    encoder.number_positions(torch.device(device))
    return encoder
