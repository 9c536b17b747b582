"""Causal language models as text encoders: transformers' networks, cut after the last layer that is read.

Shape suffixes: B = prompts, L = tokens, C = channels of a layer, F = channels of all layers that are read.
"""

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from models.text.attention import with_sdpa
from models.text.tokenizers import Tokens


class _Output(Protocol):
    hidden_states: tuple[Tensor, ...]


class _Class(Protocol):
    """A class of transformers that is built from a configuration."""

    def __call__(self, config: PreTrainedConfig) -> nn.Module: ...


class CausalEncoder(nn.Module):
    """The states after some layers of a language model, side by side.

    Layers count as in transformers' hidden_states: 0 is the embedding, k the output of layer k. Only the very last one has
    passed the final norm, so a network that is cut earlier has none.
    """

    def __init__(
        self, network: object, rotary_embedding: object, config: PreTrainedConfig, out_layers: tuple[int, ...]
    ) -> None:
        """Build the network.

        Args:
            network: class of the language model without its head.
            rotary_embedding: class of its rotary embedding.
            config: of the whole network.
            out_layers: which states make up a token's features, in this order.
        """
        super().__init__()
        num_layers = cast(int, config.num_hidden_layers)
        if not out_layers or min(out_layers) < 0 or max(out_layers) > num_layers:
            raise ValueError(f"out_layers {out_layers} are not within the {num_layers} layers of the text encoder")
        self.out_layers = out_layers
        self._rotary_embedding = cast(_Class, rotary_embedding)
        self._config = with_sdpa(_cut(config, max(out_layers)))
        self.model = cast(_Class, network)(self._config)
        self.has_final_norm = max(out_layers) == num_layers
        if not self.has_final_norm:
            self.model.norm = nn.Identity()

    @property
    def num_features(self) -> int:
        """Channels of a token's features."""
        return len(self.out_layers) * cast(int, self._config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Layers that are kept."""
        return cast(int, self._config.num_hidden_layers)

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the features of every token, padding included: B x L x F, the layers' channels one after another."""
        output = cast(
            _Output,
            self.model(
                input_ids=tokens.ids_BL, attention_mask=tokens.mask_BL, output_hidden_states=True, use_cache=False
            ),
        )
        return torch.cat([output.hidden_states[layer] for layer in self.out_layers], dim=-1)

    def compute_rotary_frequencies(self, device: torch.device) -> None:
        """Recompute what no file holds, in float32; a network built on the meta device needs it."""
        with device:
            self.model.rotary_emb = self._rotary_embedding(config=self._config)


def _cut(config: PreTrainedConfig, num_layers: int) -> PreTrainedConfig:
    fields = cast(dict[str, object], config.to_dict())
    fields["num_hidden_layers"] = num_layers
    if isinstance(layer_types := fields.get("layer_types"), list):
        fields["layer_types"] = layer_types[:num_layers]
    return type(config).from_dict(fields)  # pyright: ignore[reportUnknownMemberType] (its keyword arguments are untyped)
