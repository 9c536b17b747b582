"""What Stable Diffusion 1.5 and SDXL read of a prompt: one or two CLIPs, side by side.

Shape suffixes: B = prompts, L, S = tokens, C = channels.
"""

from dataclasses import dataclass

import torch

from models.pipeline.components import TextFeatures
from models.text.clip import ClipTextEncoder
from models.text.tokenizers import ClipTokenizer, Tokens

CLIP_LENGTH = 77
"""Tokens that CLIP reads of every prompt."""


@dataclass(frozen=True, eq=False)
class SdText:
    """The text encoders of a network.

    Attributes:
        encoders: each with its tokenizer; the features of a token lie side by side.
        skip: layers at the end of each that are left out for the tokens.
        normed: whether the final norm follows.
        is_pooled: whether the network is also told the pooled prompt, of the last encoder.
    """

    encoders: tuple[tuple[ClipTokenizer, ClipTextEncoder], ...]
    skip: int
    normed: bool
    is_pooled: bool

    @property
    def num_features(self) -> int:
        """Channels of a token."""
        return sum(encoder.num_features for _, encoder in self.encoders)

    @property
    def num_pooled(self) -> int:
        """Channels of the pooled prompt."""
        return self.encoders[-1][1].num_pooled

    def features(self, text: str, device: torch.device, clip_skip: int = 0) -> TextFeatures:
        """Turn a prompt into features.

        Args:
            text: the prompt.
            device: where the encoders live.
            clip_skip: layers that are left out beyond the network's own (Diffusers counts so; 1 is what A1111 calls 2).

        Raises:
            UnsupportedInput: no layer would be left.
        """
        found = [
            encoder.features(
                Tokens(*(part.to(device) for part in tokenizer([text], CLIP_LENGTH))),
                self.skip + clip_skip,
                normed=self.normed,
            )
            for tokenizer, encoder in self.encoders
        ]
        tokens_SC = torch.cat([one.tokens_BLC for one in found], dim=-1)[0]
        return TextFeatures(tokens_SC, found[-1].pooled_BC[0] if self.is_pooled else None)
