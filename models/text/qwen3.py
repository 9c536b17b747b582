"""Qwen3 as a text encoder: transformers' network, cut after the last layer that is read.

Shape suffixes: B = prompts, L = tokens, C = channels of a layer, F = channels of all layers that are read.
"""

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3Model
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

from models.text.tokenizers import Tokens


class _Output(Protocol):
    hidden_states: tuple[Tensor, ...]


class Qwen3Encoder(nn.Module):
    """The states after some of Qwen3's layers, side by side.

    Layers count as in transformers' hidden_states: 0 is the embedding, k the output of layer k. Only the very last one has
    passed the final norm, so a network that is cut earlier has none.
    """

    def __init__(self, config: Qwen3Config, out_layers: tuple[int, ...]) -> None:
        """Build the network.

        Args:
            config: of the whole network.
            out_layers: which states make up a token's features, in this order.
        """
        super().__init__()
        num_layers = config.num_hidden_layers
        if not out_layers or min(out_layers) < 0 or max(out_layers) > num_layers:
            raise ValueError(f"out_layers {out_layers} are not within the {num_layers} layers of the text encoder")
        self.out_layers = out_layers
        self._config = _cut(config, max(out_layers))
        self.model = Qwen3Model(self._config)
        self.has_final_norm = max(out_layers) == num_layers
        if not self.has_final_norm:
            setattr(self.model, "norm", nn.Identity())  # noqa: B010 (the attribute is typed as a norm)

    @property
    def num_features(self) -> int:
        """Channels of a token's features."""
        return len(self.out_layers) * self._config.hidden_size

    @property
    def num_layers(self) -> int:
        """Layers that are kept."""
        return self._config.num_hidden_layers

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
            self.model.rotary_emb = Qwen3RotaryEmbedding(config=self._config)


def _cut(config: Qwen3Config, num_layers: int) -> Qwen3Config:
    fields = cast(dict[str, object], config.to_dict())
    layer_types = cast(list[str], fields["layer_types"])
    fields |= {"num_hidden_layers": num_layers, "layer_types": layer_types[:num_layers]}
    cut = Qwen3Config.from_dict(fields)  # pyright: ignore[reportUnknownMemberType] (its keyword arguments are untyped)
    cut._attn_implementation = "sdpa"  # pyright: ignore[reportPrivateUsage] (transformers has no public setter)
    return cut
