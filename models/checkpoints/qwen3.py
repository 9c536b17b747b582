"""Qwen3 text encoders in transformers' folder layout, loaded as far as their layers are read."""

from pathlib import Path

import torch
from transformers import Qwen3Config

from models.checkpoints.causal import unread_rule
from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.text import QWEN3
from models.checkpoints.load import load_network
from models.checkpoints.transformers_config import read_network_config
from models.text.qwen3 import Qwen3Encoder

STEM = "model"
ARCHITECTURE = "Qwen3ForCausalLM"


def load_text_encoder(
    folder: Path, out_layers: tuple[int, ...], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Qwen3Encoder:
    """Load the layers of a Qwen3ForCausalLM that out_layers need.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit, or the network has too few layers.
    """
    config = read_network_config(folder, Qwen3Config, ARCHITECTURE)
    is_unread = unread_rule(folder, config.num_hidden_layers, max(out_layers), "model.")
    encoder = load_network(
        lambda: Qwen3Encoder(config, out_layers),
        TensorFiles.of_component(folder, STEM),
        QWEN3,
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: name == "lm_head.weight" or is_unread(name),
    )
    encoder.compute_rotary_frequencies(torch.device(device))
    return encoder
