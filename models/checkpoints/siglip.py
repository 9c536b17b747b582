"""SigLIP's vision encoder in transformers' folder layout, without the pooling head."""

import re
from pathlib import Path

import torch
from transformers import SiglipVisionConfig

from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.siglip import MARK, PREFIXES, siglip_vision
from models.checkpoints.keymaps.text import prefix_in
from models.checkpoints.load import load_network
from models.checkpoints.transformers_config import read_network_config
from models.vision.siglip import SiglipEncoder

STEM = "model"
ARCHITECTURE = "SiglipVisionModel"


def load_siglip(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> SiglipEncoder:
    """Load a SiglipVisionModel; its names may or may not begin with vision_model, as older and newer transformers write them.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    config = read_network_config(folder, SiglipVisionConfig, ARCHITECTURE)
    files = TensorFiles.of_component(folder, STEM)
    prefix = prefix_in(files.names(), PREFIXES, MARK)
    unread = re.compile(rf"{re.escape(prefix)}(head\..+|embeddings\.position_ids)")
    encoder = load_network(
        lambda: SiglipEncoder(config),
        files,
        siglip_vision(prefix),
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: unread.fullmatch(name) is not None,
    )
    encoder.number_positions(torch.device(device))
    return encoder
