"""Reading: how the prompts of a request are read."""

from dataclasses import dataclass
from typing import Literal

from models.text.inversion import Embedding

PromptSyntax = Literal["plain", "a1111"]


@dataclass(frozen=True)
class Reading:
    """Everything but the text that decides a prompt's features; equal readings of equal texts give equal features.

    Attributes:
        syntax: "plain" takes every character as text, and leaves out what one pass of the encoder does not hold. "a1111" reads
            emphasis (models.text.emphasis) and prompts of any length (models.text.chunks).
        clip_skip: layers of the text encoders that are left out beyond the network's own.
        embeddings: words that were learnt, by trigger.
    """

    syntax: PromptSyntax = "plain"
    clip_skip: int = 0
    embeddings: tuple[Embedding, ...] = ()


PLAINLY = Reading()
