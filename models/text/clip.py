"""CLIP's text encoder: transformers' network. FLUX.1 reads its pooled state, Stable Diffusion the states of its tokens, SDXL both;
padding is not masked.

Shape suffixes: B = prompts, L = tokens, C = channels.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from models.errors import UnsupportedInput
from models.text.attention import with_sdpa
from models.text.inversion import Splice
from models.text.tokenizers import Tokens

LEGACY_END = 2


class _Output(Protocol):
    @property
    def pooler_output(self) -> Tensor: ...
    @property
    def hidden_states(self) -> tuple[Tensor, ...]: ...


class _States(NamedTuple):
    hidden_states: tuple[Tensor, ...]
    pooler_output: Tensor


class ClipFeatures(NamedTuple):
    """Some prompts as a network reads them.

    Attributes:
        tokens_BLC: features of their tokens, padding included.
        pooled_BC: features of the whole prompts, projected where the encoder has a projection.
    """

    tokens_BLC: Tensor
    pooled_BC: Tensor


class ClipTextEncoder(nn.Module):
    """The text half of a CLIP. Radford et al. 2021, arXiv:2103.00020, 2.4."""

    def __init__(self, config: CLIPTextConfig, *, projected: bool = False) -> None:
        """Build the network.

        Args:
            config: its sizes.
            projected: whether the pooled state is projected into the space that text and pictures share.
        """
        super().__init__()
        self.config = with_sdpa(config)
        self.model = CLIPTextModel(self.config)
        shared = nn.Linear(config.hidden_size, cast("int", config.projection_dim), bias=False)
        self.text_projection = shared if projected else nn.Identity()

    @property
    def num_features(self) -> int:
        """Channels of the pooled state."""
        return self.config.hidden_size

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the state of the first end token after the final norm: B x C.

        Configurations that say eos_token_id 2, as the published ones do, mean the highest id of the vocabulary.
        """
        return cast(_Output, self.model(input_ids=tokens.ids_BL)).pooler_output

    @property
    def num_layers(self) -> int:
        """Layers between its input and its output."""
        return self.config.num_hidden_layers

    @property
    def num_pooled(self) -> int:
        """Channels of what features returns for whole prompts."""
        projection = self.text_projection
        return projection.out_features if isinstance(projection, nn.Linear) else self.config.hidden_size

    def features(self, tokens: Tokens, skip: int, *, normed: bool, splices: Sequence[Splice] = ()) -> ClipFeatures:
        """Return the states of all tokens some layers before the last, and the pooled state after the last.

        Args:
            tokens: of the prompts.
            skip: layers at the end that are left out for the tokens.
            normed: whether the final norm follows, as Stable Diffusion 1.5 wants and SDXL does not.
            splices: vectors that stand in the places of tokens, in all of the prompts; nothing of the encoder changes for them.

        Raises:
            UnsupportedInput: no layer would be left.
        """
        if not 0 <= skip < self.config.num_hidden_layers:
            raise UnsupportedInput(f"clip_skip: {skip} of {self.config.num_hidden_layers} layers cannot be left out")
        output = self._spliced(tokens, splices) if splices else self._whole(tokens)
        tokens_BLC = output.hidden_states[-(skip + 1)]
        return ClipFeatures(
            self.model.final_layer_norm(tokens_BLC) if normed else tokens_BLC,
            self.text_projection(output.pooler_output),
        )

    def _whole(self, tokens: Tokens) -> _Output:
        return cast(_Output, self.model(input_ids=tokens.ids_BL, output_hidden_states=True))

    def _spliced(self, tokens: Tokens, splices: Sequence[Splice]) -> _States:
        """What the model's own forward does, from embeddings of which some are not those of its table."""
        embedded_BLC: Tensor = self.model.embeddings.token_embedding(tokens.ids_BL)
        for splice in splices:
            embedded_BLC[:, splice.position] = splice.vector_C.to(embedded_BLC)
        states = [self.model.embeddings(input_ids=tokens.ids_BL, inputs_embeds=embedded_BLC)]
        for layer in self.model.encoder.layers:
            states.append(layer(states[-1], None, is_causal=True))
        end_B = (tokens.ids_BL == self._end_id(tokens)).int().argmax(dim=-1)
        last_BLC = self.model.final_layer_norm(states[-1])
        return _States(tuple(states), last_BLC[torch.arange(len(end_B), device=end_B.device), end_B])

    def _end_id(self, tokens: Tokens) -> Tensor | int:
        """Configurations that say 2, as the published ones do, mean the highest id."""
        stated = cast("int", self.config.eos_token_id)
        return tokens.ids_BL.amax(dim=-1, keepdim=True) if stated == LEGACY_END else stated

    def number_positions(self, device: torch.device) -> None:
        """Recompute what no file need hold; a network built on the meta device needs it."""
        positions = torch.arange(self.config.max_position_embeddings, device=device)
        self.model.embeddings.position_ids = nn.Buffer(positions[None], persistent=False)
