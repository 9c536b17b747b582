"""FLUX.1 Redux: a picture's features become tokens beside those of the prompt.

Shape suffixes: B = pictures, L = tokens, C = channels.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ReduxParams:
    """Sizes of the embedder.

    Attributes:
        in_dim: channels of the image encoder's features.
        context_in_dim: channels of the transformer's text tokens.
    """

    in_dim: int = 1152
    context_in_dim: int = 4096


class ReduxEmbedder(nn.Module):
    """Two linear layers, three times as wide in the middle: ReduxImageEncoder in black-forest-labs/flux, image_embedders.py."""

    def __init__(self, params: ReduxParams) -> None:
        super().__init__()
        self.params = params
        self.redux_up = nn.Linear(params.in_dim, 3 * params.context_in_dim)
        self.redux_down = nn.Linear(3 * params.context_in_dim, params.context_in_dim)

    def forward(self, features_BLC: Tensor) -> Tensor:
        """Return text tokens B x L x context_in_dim for features B x L x in_dim; they go behind the prompt's."""
        return self.redux_down(F.silu(self.redux_up(features_BLC)))
