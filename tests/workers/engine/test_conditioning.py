"""The prompt cache: exact keys, a bound in bytes, the least recently used out first."""

import torch

from models.pipeline.components import TextFeatures
from workers.engine.conditioning import PromptCache, PromptKey

EMBEDDING_BYTES = 4 * 16


class Encoder:
    """Counts what it is asked to encode."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str, max_length: int) -> TextFeatures:
        self.texts.append(text)
        return TextFeatures(torch.full((4, 4), float(max_length)))


def key(text: str, max_length: int = 24, network: str = "tiny", revision: str = "r1") -> PromptKey:
    return PromptKey(text, max_length, network, revision)


def test_the_same_text_is_encoded_once() -> None:
    cache, encoder = PromptCache(1024), Encoder()
    assert cache.get(key("a cat"), encoder) is cache.get(key("a cat"), encoder)
    assert encoder.texts == ["a cat"]


def test_another_space_length_network_or_revision_has_other_features() -> None:
    cache, encoder = PromptCache(1024), Encoder()
    others = key("a  cat"), key("a cat", 12), key("a cat", network="other"), key("a cat", revision="r2")
    for prompt in (key("a cat"), *others):
        cache.get(prompt, encoder)
    assert len(encoder.texts) == 5


def test_bytes_stay_under_the_bound_and_the_least_recently_used_goes() -> None:
    cache, encoder = PromptCache(2 * EMBEDDING_BYTES), Encoder()
    for text in ("a", "b", "a", "c"):
        cache.get(key(text), encoder)
    assert cache.held_bytes == 2 * EMBEDDING_BYTES
    cache.get(key("a"), encoder)
    assert encoder.texts == ["a", "b", "c"]
    cache.get(key("b"), encoder)
    assert encoder.texts == ["a", "b", "c", "b"]


def test_an_embedding_larger_than_the_cache_is_not_kept() -> None:
    cache, encoder = PromptCache(EMBEDDING_BYTES - 1), Encoder()
    cache.get(key("a"), encoder)
    assert (len(cache), cache.held_bytes) == (0, 0)
