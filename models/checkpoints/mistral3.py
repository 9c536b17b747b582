"""The language model of Mistral Small 3 in transformers' folder layout, loaded as far as its layers are read."""

import re
from pathlib import Path
from typing import cast

import torch
from transformers import Mistral3Config, MistralConfig

from models.checkpoints.causal import unread_rule
from models.checkpoints.config import Config
from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.text import MISTRAL3_MARK, MISTRAL3_PREFIXES, causal, prefix_in
from models.checkpoints.load import load_network
from models.checkpoints.transformers_config import read_network_config
from models.errors import MalformedConfig
from models.text.mistral3 import Mistral3Encoder

STEM = "model"
WITH_VISION, TEXT_ALONE = "Mistral3ForConditionalGeneration", "MistralForCausalLM"
_OTHER_PARTS = re.compile(r"((model\.)?(vision_tower|multi_modal_projector)\..+|(language_model\.)?lm_head\.weight)")


def load_mistral3(
    folder: Path, out_layers: tuple[int, ...], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Mistral3Encoder:
    """Load the layers that out_layers need of a Mistral3ForConditionalGeneration's language model, or of a MistralForCausalLM.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit, or the network has too few layers.
    """
    config = _text_config(folder)
    files = TensorFiles.of_component(folder, STEM)
    prefix = prefix_in(files.names(), MISTRAL3_PREFIXES, MISTRAL3_MARK)
    is_unread = unread_rule(folder, config.num_hidden_layers, max(out_layers), prefix)
    encoder = load_network(
        lambda: Mistral3Encoder(config, out_layers),
        files,
        causal(prefix),
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: _OTHER_PARTS.fullmatch(name) is not None or is_unread(name),
    )
    encoder.compute_rotary_frequencies(torch.device(device))
    return encoder


def _text_config(folder: Path) -> MistralConfig:
    if TEXT_ALONE in Config(folder / "config.json").texts("architectures"):
        return read_network_config(folder, MistralConfig, TEXT_ALONE)
    config = read_network_config(folder, Mistral3Config, WITH_VISION, TEXT_ALONE)
    text_config = cast(
        object,
        config.text_config,  # pyright: ignore[reportUnknownMemberType] (a dict without its arguments)
    )
    if not isinstance(text_config, MistralConfig):
        raise MalformedConfig(f"{folder / 'config.json'}: text_config describes no Mistral")
    return text_config
