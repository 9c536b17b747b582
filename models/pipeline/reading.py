"""Reading: how the prompts of a request are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.errors import UnsupportedInput
from models.text.inversion import Embedding

PromptSyntax = Literal["plain", "a1111"]
Embeddings = Mapping[str, Embedding]
"""Learnt words, by name."""
NO_EMBEDDINGS: Embeddings = {}


@dataclass(frozen=True)
class Reading:
    """Everything but the text that decides a prompt's features; equal readings of equal texts give equal features.

    Attributes:
        syntax: "plain" takes every character as text, and leaves out what one pass of the encoder does not hold. "a1111" reads
            emphasis (models.text.emphasis) and prompts of any length (models.text.chunks).
        clip_skip: layers of the text encoders that are left out beyond the network's own.
        embeddings: learnt words that the text may use.
    """

    syntax: PromptSyntax = "plain"
    clip_skip: int = 0
    embeddings: tuple[Embedding, ...] = ()

    def require_plain(self, network: str) -> None:
        """Refuse everything that only CLIP's features can give.

        Raises:
            UnsupportedInput: names the field, and the network that has no use for it.
        """
        given = {"prompt_syntax": self.syntax != "plain", "clip_skip": self.clip_skip, "embeddings": self.embeddings}
        for field, is_given in given.items():
            if is_given:
                raise UnsupportedInput(f"{field}: {network} reads its prompts as they are; leave it out")


PLAINLY = Reading()
