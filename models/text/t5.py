"""T5's encoder: transformers' network, a stack without decoder. Padding is not masked.

Shape suffixes: B = prompts, L = tokens, C = channels.
"""

from typing import Protocol, cast

from torch import Tensor, nn
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5Stack

from models.text.attention import with_sdpa
from models.text.tokenizers import Tokens


class _Output(Protocol):
    last_hidden_state: Tensor


class T5Encoder(nn.Module):
    """The encoder of T5 v1.1. Raffel et al. 2020, arXiv:1910.10683; gated GELU: Shazeer 2020, arXiv:2002.05202.

    In float16 the output matrices of its feed-forward layers overflow, so they are kept in float32; the states that leave the
    network have the type of its other parameters.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = with_sdpa(config)
        # A published configuration describes the decoder too.
        self.config.use_cache = self.config.is_encoder_decoder = False
        self.encoder = T5Stack(self.config)

    @property
    def num_features(self) -> int:
        """Channels of a token."""
        return self.config.d_model

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the states after the final norm, padding included: B x L x C."""
        return cast(_Output, self.encoder(input_ids=tokens.ids_BL)).last_hidden_state
