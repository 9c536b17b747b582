"""Prompts of any length as chunks of what CLIP reads at a time: 75 tokens between a start and an end.

Shape suffixes: L = tokens of a chunk.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.errors import UnsupportedInput
from models.text.emphasis import Section
from models.text.inversion import Embedding, Splice, parted
from models.text.tokenizers import ClipTokenizer, Tokens

CHUNK_LENGTH = 77
ROOM = CHUNK_LENGTH - 2
"""Tokens of a chunk between its start and its end."""
BACKTRACK = 20
"""Tokens after the last comma of a full chunk that move into the next together, as AUTOMATIC1111 has it."""

MAX_CHUNKS = 32
"""Of a prompt: one of many pages would hold up everybody."""


class Place(NamedTuple):
    """One token of a prompt.

    Attributes:
        id: of the token.
        weight: how much it counts.
        embedding: the learnt word that stands there instead.
        vector: which of its vectors.
    """

    id: int
    weight: float = 1.0
    embedding: Embedding | None = None
    vector: int = 0


Unit = tuple[Place, ...]
"""A token, or all those of a learnt word, which stay together."""
Chunk = tuple[Place, ...]


class ChunkTensors(NamedTuple):
    """A chunk as an encoder reads it, start, end and padding included.

    Attributes:
        tokens: its tokens.
        weights_L: how much each counts; None where all of them are 1.
        splices: vectors in the places of tokens.
    """

    tokens: Tokens
    weights_L: Tensor | None
    splices: tuple[Splice, ...]


def units(text: str, weight: float, tokenizer: ClipTokenizer, embeddings: Sequence[Embedding]) -> Iterator[Unit]:
    """The tokens of some text, without start and end."""
    for piece in parted(text, embeddings):
        if isinstance(piece, Embedding):
            yield tuple(Place(0, weight, piece, vector) for vector in range(piece.num_vectors))
        else:
            yield from ((Place(token, weight),) for token in tokenizer.pieces(piece))


def cut(found: Iterable[Unit]) -> list[Chunk]:
    """One chunk; what does not fit is left out."""
    return [tuple(place for unit in found for place in unit)[:ROOM]]


def chunked(sections: Sequence[Section], tokenizer: ClipTokenizer, embeddings: Sequence[Embedding] = ()) -> list[Chunk]:
    """All of a prompt; every section begins a chunk, but an empty one at the end is none. A learnt word is never parted, and what follows the last comma of a full chunk
    only if it is longer than BACKTRACK.

    Raises:
        UnsupportedInput: there are more than MAX_CHUNKS.
    """
    found = [
        chunk
        for section in sections
        for chunk in _filled(
            [unit for part in section for unit in units(part.text, part.weight, tokenizer, embeddings)],
            tokenizer.comma_id,
        )
    ]
    chunks = found if found[-1] or len(found) == 1 else found[:-1]
    if len(chunks) > MAX_CHUNKS:
        raise UnsupportedInput(f"prompt: it has {len(chunks)} chunks of {ROOM} tokens; at most {MAX_CHUNKS} are read")
    return chunks


def _filled(found: Sequence[Unit], comma_id: int) -> Iterator[Chunk]:
    """Chunks of one section; an empty one has one too."""
    chunk: list[Place] = []
    after_comma: int | None = None
    for unit in found:
        is_comma = unit[0].id == comma_id and unit[0].embedding is None
        while len(chunk) + len(unit) > ROOM:
            kept = len(chunk)
            if not is_comma and len(chunk) == ROOM and after_comma is not None and ROOM + 1 - after_comma <= BACKTRACK:
                kept = after_comma
            yield tuple(chunk[:kept])
            chunk, after_comma = chunk[kept:], None
        chunk.extend(unit)
        if is_comma:
            after_comma = len(chunk)
    yield tuple(chunk)


def tensors(chunk: Chunk, tokenizer: ClipTokenizer, encoder: int, device: torch.device) -> ChunkTensors:
    """A chunk as one of a family's encoders reads it.

    Args:
        chunk: of a prompt.
        tokenizer: of the encoder.
        encoder: which of those of the family it is.
        device: where it lives.
    """
    ids, mask = tokenizer.framed([place.id for place in chunk], CHUNK_LENGTH)
    weights_L = torch.ones(CHUNK_LENGTH)
    weights_L[1 : len(chunk) + 1] = torch.tensor([place.weight for place in chunk])
    splices = tuple(
        Splice(position, place.embedding.vectors[encoder][place.vector])
        for position, place in enumerate(chunk, start=1)
        if place.embedding is not None
    )
    is_plain = all(place.weight == 1 for place in chunk)
    tokens = Tokens(torch.tensor([ids], device=device), torch.tensor([mask], device=device))
    return ChunkTensors(tokens, None if is_plain else weights_L.to(device), splices)
