"""Parts of a picture and what a client has already: the cases of RFC 9110, sections 13 and 14."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.api.ranges import Part, Unsatisfiable, has_it, wanted

ETAG = '"abc-1"'


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-499", (0, 500)),
        ("bytes=500-999", (500, 1000)),
        ("bytes=-500", (500, 1000)),
        ("bytes=500-", (500, 1000)),
        ("bytes=0-99999", (0, 1000)),
        ("bytes=-99999", (0, 1000)),
        ("BYTES= 1-2 ", (1, 3)),
    ],
)
def test_one_range_is_that_part(text: str, part: tuple[int, int]) -> None:
    assert wanted(Headers({"range": text}), ETAG, 1000) == Part(*part)


@pytest.mark.parametrize(
    "text", ["", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,5-6", "bytes=a-b", "lines=0-1", "bytes 0-1", "bytes=0--1"]
)
def test_several_parts_and_words_that_are_no_range_bring_all_of_it(text: str) -> None:
    assert wanted(Headers({"range": text}), ETAG, 1000) is None


@pytest.mark.parametrize(
    ("text", "size"), [("bytes=1000-", 1000), ("bytes=1000-1001", 1000), ("bytes=-0", 9), ("bytes=-1", 0)]
)
def test_what_lies_behind_the_end_cannot_be_had(text: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        wanted(Headers({"range": text}), ETAG, size)


@pytest.mark.parametrize(
    ("version", "is_part"),
    [(ETAG, True), ('"abc-2"', False), (f"W/{ETAG}", False), ("Mon, 23 Nov 2026 11:00:00 GMT", False)],
)
def test_another_version_comes_whole(version: str, is_part: bool) -> None:
    assert (wanted(Headers({"range": "bytes=0-1", "if-range": version}), ETAG, 9) is not None) is is_part


@pytest.mark.parametrize(
    ("known", "is_known"),
    [
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f'"x", {ETAG}', True),
        ("*", True),
        ('"abc-2"', False),
        ("abc-1", False),
        ("", False),
    ],
)
def test_a_tag_that_is_known_needs_no_bytes(known: str, is_known: bool) -> None:
    assert has_it(Headers({"if-none-match": known}), ETAG) is is_known
    assert not has_it(Headers({}), ETAG)


@given(st.text(max_size=30), st.integers(0, 50))
def test_a_part_never_leaves_the_picture(text: str, size: int) -> None:
    headers = Headers(raw=[(b"range", f"bytes={text}".encode("latin-1", "replace"))])
    try:
        part = wanted(headers, ETAG, size)
    except Unsatisfiable:
        return
    assert part is None or 0 <= part.start < part.stop <= size
