"""Textual inversion: words that were learnt as vectors, read in the places where a prompt has their trigger.

They stand at the input of a text encoder, beside the rows of its embedding table, which stays as it is; so does its tokenizer.
Gal et al. 2022, arXiv:2208.01618.

Shape suffixes: N = vectors of a word, C = channels.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class Embedding:
    """A learnt word. Two are equal when their triggers and revisions are.

    Attributes:
        trigger: the text that stands for it in prompts.
        revision: changes when any vector does.
        vectors: N x C for each text encoder of the family, in its order.
    """

    trigger: str
    revision: str
    vectors: tuple[Tensor, ...] = field(compare=False)

    @property
    def num_vectors(self) -> int:
        """Tokens that it takes."""
        return len(self.vectors[0])

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels, for each text encoder."""
        return tuple(vectors_NC.shape[1] for vectors_NC in self.vectors)


class Splice(NamedTuple):
    """A vector in the place of a token."""

    position: int
    vector_C: Tensor


def parted(text: str, embeddings: Sequence[Embedding]) -> Iterator[str | Embedding]:
    """Text and learnt words in turn. Capitals do not matter; the longest trigger is found first, and only as a word of its own."""
    if not embeddings:
        yield text
        return
    by_trigger = {embedding.trigger.lower(): embedding for embedding in embeddings}
    position = 0
    for found in _pattern(tuple(by_trigger)).finditer(text):
        if found.start() > position:
            yield text[position : found.start()]
        yield by_trigger[found[0].lower()]
        position = found.end()
    if position < len(text):
        yield text[position:]


def _pattern(triggers: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted(triggers, key=len, reverse=True)
    return re.compile("|".join(_as_word(trigger) for trigger in longest_first), re.IGNORECASE)


def _as_word(trigger: str) -> str:
    """A trigger that begins or ends with a letter or digit has no other beside it; one in marks, as <this>, stands anywhere."""
    before = r"(?<!\w)" if re.match(r"\w", trigger) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", trigger) else ""
    return f"{before}{re.escape(trigger)}{after}"
