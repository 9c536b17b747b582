"""The same file with the same manifest is signed once, while it is remembered; nothing else is taken for it."""

from collections.abc import Mapping
from typing import Any

from workers.provenance.remembering import RememberingSigner


class Counting:
    """Signs with a number that is another each time."""

    def __init__(self) -> None:
        self.num_signed = 0

    def signed(self, data: bytes, content_type: str, manifest: Mapping[str, Any]) -> bytes:
        self.num_signed += 1
        return data + bytes([self.num_signed])


def test_the_same_is_signed_once_and_what_differs_in_anything_again() -> None:
    signer = Counting()
    remembering = RememberingSigner(signer)
    asked = [(b"a", "image/png", {"x": 1}), (b"b", "image/png", {"x": 1}), (b"a", "image/webp", {"x": 1})]
    asked.append((b"a", "image/png", {"x": 2}))
    first = [remembering.signed(*one) for one in asked]
    assert [remembering.signed(*one) for one in asked] == first
    assert len({*first}) == signer.num_signed == len(asked)


def test_what_was_asked_for_longest_ago_is_forgotten_first_and_what_is_too_large_at_once() -> None:
    signer = Counting()
    remembering = RememberingSigner(signer, max_bytes=6)
    for data in (b"aa", b"bb", b"aa", b"cc", b"aa", b"bb", b"too large", b"too large"):
        remembering.signed(data, "image/png", {})
    assert signer.num_signed == 6  # aa, bb, cc, bb again, and the large one twice
