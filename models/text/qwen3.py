"""Qwen3 as a text encoder: FLUX.2 [klein] reads some of its layers."""

from transformers import Qwen3Config, Qwen3Model
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

from models.text.causal import CausalEncoder


class Qwen3Encoder(CausalEncoder):
    """The states after some of Qwen3's layers, side by side, as CausalEncoder says."""

    def __init__(self, config: Qwen3Config, out_layers: tuple[int, ...]) -> None:
        """Build the network, cut after the last of out_layers; config describes the whole."""
        super().__init__(Qwen3Model, Qwen3RotaryEmbedding, config, out_layers)
