"""T5 encoders in transformers' folder layout."""

from pathlib import Path

import torch
from transformers import T5Config

from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.text import T5_EMBEDDINGS, prefix_in, t5_encoder
from models.checkpoints.load import load_network
from models.checkpoints.transformers_config import read_network_config
from models.text.t5 import T5Encoder

STEM = "model"
ARCHITECTURE = "T5EncoderModel"


def load_t5(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> T5Encoder:
    """Load a T5EncoderModel. In float16 the output matrices of the feed-forward layers stay in float32, where they do not overflow.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    config = read_network_config(folder, T5Config, ARCHITECTURE)
    files = TensorFiles.of_component(folder, STEM)
    embedding = prefix_in(files.names(), T5_EMBEDDINGS, "")
    return load_network(
        lambda: T5Encoder(config),
        files,
        t5_encoder(embedding),
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: name in T5_EMBEDDINGS,
        is_float32=lambda name: dtype == torch.float16 and name.endswith(".wo.weight"),
    )
