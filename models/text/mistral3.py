"""The language model of Mistral Small 3 as a text encoder: FLUX.2 [dev] reads layers 10, 20 and 30 of its 40.

Its prompts are padded on the left, so padding sees no key at all; torch's attention makes those rows zeros, and so they are pinned.
"""

from transformers import MistralConfig, MistralModel
from transformers.models.mistral.modeling_mistral import MistralRotaryEmbedding

from models.text.causal import CausalEncoder


class Mistral3Encoder(CausalEncoder):
    """The states after some of Mistral's layers, side by side, as CausalEncoder says."""

    def __init__(self, config: MistralConfig, out_layers: tuple[int, ...]) -> None:
        """Build the network, cut after the last of out_layers; config describes the whole."""
        super().__init__(MistralModel, MistralRotaryEmbedding, config, out_layers)
