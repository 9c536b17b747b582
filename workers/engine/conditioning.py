"""Conditioning: features of prompts kept by exact text, network and revision, bounded in bytes, least recently used out first.

Features are shared between rows and are never written to.
"""

from collections import OrderedDict
from typing import NamedTuple

from models.pipeline.components import TextFeatures
from models.pipeline.prompts import Encode
from models.pipeline.reading import PLAINLY, Reading


class PromptKey(NamedTuple):
    """Texts that differ in one space are different texts; another length or reading is another picture, other weights another network."""

    text: str
    max_length: int
    network: str
    revision: str
    reading: Reading = PLAINLY


class PromptCache:
    """Features by PromptKey, at most max_bytes of them."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._features: OrderedDict[PromptKey, TextFeatures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._features)

    def get(self, key: PromptKey, encode: Encode) -> TextFeatures:
        """The features of key.text, from encode(text, max_length, reading) when they are not held."""
        if key in self._features:
            self._features.move_to_end(key)
            return self._features[key]
        features = encode(key.text, key.max_length, key.reading)
        if features.nbytes <= self.max_bytes:
            self._features[key] = features
            self.held_bytes += features.nbytes
            self._shrink()
        return features

    def _shrink(self) -> None:
        while self.held_bytes > self.max_bytes:
            _, dropped = self._features.popitem(last=False)
            self.held_bytes -= dropped.nbytes
