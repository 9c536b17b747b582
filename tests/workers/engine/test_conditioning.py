"""The prompt cache: exact keys, a bound in bytes, the least recently used out first."""

import torch

from models.pipeline.components import TextFeatures
from models.pipeline.reading import PLAINLY, Reading
from models.text.inversion import Embedding
from workers.engine.conditioning import PromptCache, PromptKey

EMBEDDING_BYTES = 4 * 16


class Encoder:
    """Counts what it is asked to encode."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str, max_length: int, reading: Reading) -> TextFeatures:
        self.texts.append(text)
        return TextFeatures(torch.full((4, 4), float(max_length)))


def key(
    text: str, max_length: int = 24, network: str = "tiny", revision: str = "r1", reading: Reading = PLAINLY
) -> PromptKey:
    return PromptKey(text, max_length, network, revision, reading)


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


def test_whatever_changes_how_a_text_is_read_is_part_of_its_key() -> None:
    cache, encoder = PromptCache(1024), Encoder()
    word, relearnt = Embedding("<cat>", "r1", (torch.zeros(1, 4),)), Embedding("<cat>", "r2", (torch.zeros(1, 4),))
    same = Embedding("<cat>", "r1", (torch.zeros(1, 4),))
    readings = (
        PLAINLY,
        Reading("a1111"),
        Reading(clip_skip=1),
        Reading(embeddings=(word,)),
        Reading(embeddings=(relearnt,)),
    )
    for reading in (*readings, Reading(embeddings=(same,))):
        cache.get(key("a cat", reading=reading), encoder)
    assert len(encoder.texts) == len(readings)


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
