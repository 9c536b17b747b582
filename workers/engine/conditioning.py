"""Conditioning: prompt embeddings kept by exact text, network and revision, bounded in bytes, least recently used out first.

Embeddings are shared between rows and are never written to.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class PromptKey(NamedTuple):
    """Texts that differ in one space are different texts; other weights are another network."""

    text: str
    network: str
    revision: str


class PromptCache:
    """Embeddings by PromptKey, at most max_bytes of them."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._embeddings: OrderedDict[PromptKey, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._embeddings)

    def get(self, key: PromptKey, encode: Callable[[str], Tensor]) -> Tensor:
        """The embedding of key.text, from encode(text) when it is not held."""
        if key in self._embeddings:
            self._embeddings.move_to_end(key)
            return self._embeddings[key]
        embedding = encode(key.text)
        if embedding.nbytes <= self.max_bytes:
            self._embeddings[key] = embedding
            self.held_bytes += embedding.nbytes
            self._shrink()
        return embedding

    def _shrink(self) -> None:
        while self.held_bytes > self.max_bytes:
            _, dropped = self._embeddings.popitem(last=False)
            self.held_bytes -= dropped.nbytes
