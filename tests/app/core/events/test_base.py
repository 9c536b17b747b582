"""Events as lines: what is encoded is decoded, and nothing else is."""

import pytest

from app.core.events.base import MAX_PREVIEW_BYTES, Cancel, Done, Event, Preview, Progress, Ring, decode, encode
from app.core.events.local import MAX_LINE_BYTES


@pytest.mark.parametrize(
    "event",
    [
        Ring("default"),
        Cancel("g"),
        Progress("g", 3, 16),
        Preview("g", 3, 16, bytes(range(256))),
        Done("g", "t", "ready"),
        Ring("a\nb"),
    ],
)
def test_an_event_survives_its_line(event: Event) -> None:
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == event


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"junk\n",
        b"[]\n",
        b"\xff\n",
        b'{"kind":"other"}\n',
        b'{"kind":"ring"}\n',
        b'{"kind":"ring","pool":3}\n',
        b'{"kind":"ring","pool":"a","more":1}\n',
        b'{"kind":"progress","generation_id":"g","step":"3","num_steps":4}\n',
        b'{"kind":"preview","generation_id":"g","step":3,"num_steps":4,"jpeg":"!"}\n',
        b'{"pool":"a"}\n',
    ],
)
def test_anything_else_is_no_event(line: bytes) -> None:
    assert decode(line) is None


def test_the_largest_preview_fits_into_a_line_of_every_transport() -> None:
    assert len(encode(Preview("g" * 36, 999, 1000, bytes(MAX_PREVIEW_BYTES)))) < MAX_LINE_BYTES
