"""CLIP's text encoder: transformers' network. FLUX.1 reads its pooled state, Stable Diffusion the states of its tokens, SDXL both;
padding is not masked.

Shape suffixes: B = prompts, L = tokens, C = channels.
"""

from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from models.errors import UnsupportedInput
from models.text.attention import with_sdpa
from models.text.tokenizers import Tokens


class _Output(Protocol):
    pooler_output: Tensor
    hidden_states: tuple[Tensor, ...]


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
    def num_pooled(self) -> int:
        """Channels of what features returns for whole prompts."""
        projection = self.text_projection
        return projection.out_features if isinstance(projection, nn.Linear) else self.config.hidden_size

    def features(self, tokens: Tokens, skip: int, *, normed: bool) -> ClipFeatures:
        """Return the states of all tokens some layers before the last, and the pooled state after the last.

        Args:
            tokens: of the prompts.
            skip: layers at the end that are left out for the tokens.
            normed: whether the final norm follows, as Stable Diffusion 1.5 wants and SDXL does not.

        Raises:
            UnsupportedInput: no layer would be left.
        """
        if not 0 <= skip < self.config.num_hidden_layers:
            raise UnsupportedInput(f"clip_skip: {skip} of {self.config.num_hidden_layers} layers cannot be left out")
        output = cast(_Output, self.model(input_ids=tokens.ids_BL, output_hidden_states=True))
        tokens_BLC = output.hidden_states[-(skip + 1)]
        return ClipFeatures(
            self.model.final_layer_norm(tokens_BLC) if normed else tokens_BLC,
            self.text_projection(output.pooler_output),
        )

    def number_positions(self, device: torch.device) -> None:
        """Recompute what no file need hold; a network built on the meta device needs it."""
        positions = torch.arange(self.config.max_position_embeddings, device=device)
        self.model.embeddings.position_ids = nn.Buffer(positions[None], persistent=False)
