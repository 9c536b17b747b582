"""CLIP's text encoder: transformers' network. FLUX.1 reads its pooled state; padding is not masked."""

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from models.text.attention import with_sdpa
from models.text.tokenizers import Tokens


class _Output(Protocol):
    pooler_output: Tensor


class ClipTextEncoder(nn.Module):
    """CLIP ViT-L/14's text half. Radford et al. 2021, arXiv:2103.00020, 2.4."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.config = with_sdpa(config)
        self.model = CLIPTextModel(self.config)

    @property
    def num_features(self) -> int:
        """Channels of the pooled state."""
        return self.config.hidden_size

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the state of the first end token after the final norm: B x C.

        Configurations that say eos_token_id 2, as the published ones do, mean the highest id of the vocabulary.
        """
        return cast(_Output, self.model(input_ids=tokens.ids_BL)).pooler_output

    def number_positions(self, device: torch.device) -> None:
        """Recompute what no file need hold; a network built on the meta device needs it."""
        positions = torch.arange(self.config.max_position_embeddings, device=device)
        self.model.embeddings.position_ids = nn.Buffer(positions[None], persistent=False)
