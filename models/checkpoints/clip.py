"""CLIP text encoders in transformers' folder layout."""

from pathlib import Path

import torch
from transformers import CLIPTextConfig

from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.text import CLIP_MARK, CLIP_PREFIXES, clip_text, prefix_in
from models.checkpoints.load import load_network
from models.checkpoints.transformers_config import read_network_config
from models.text.clip import ClipTextEncoder

STEM = "model"
ARCHITECTURE, PROJECTED = "CLIPTextModel", "CLIPTextModelWithProjection"


def load_clip(
    folder: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    projected: bool = False,
) -> ClipTextEncoder:
    """Load a CLIPTextModel; its names may or may not begin with text_model, as older and newer transformers write them.

    Args:
        folder: its config.json and safetensors.
        device: where the network shall live.
        dtype: in which it shall run.
        projected: whether it is a CLIPTextModelWithProjection.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    config = read_network_config(folder, CLIPTextConfig, PROJECTED if projected else ARCHITECTURE)
    files = TensorFiles.of_component(folder, STEM)
    prefix = prefix_in(files.names(), CLIP_PREFIXES, CLIP_MARK)
    encoder = load_network(
        lambda: ClipTextEncoder(config, projected=projected),
        files,
        clip_text(prefix),
        device=torch.device(device),
        dtype=dtype,
        # Older files hold the numbers of the positions.
        is_unused=lambda name: name == f"{prefix}embeddings.position_ids",
    )
    encoder.number_positions(torch.device(device))
    return encoder
