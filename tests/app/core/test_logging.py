"""Logs: the names that are bound, the shape of a line, and nothing secret in it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.core.config import LogSettings
from app.core.logging import bind, configure_logging, redact_text

KEY = "dk_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG_abcdef"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_names_are_on_every_line_of_both_loggers(stream: io.StringIO) -> None:
    configure_logging(LogSettings(), stream)
    with bind(request_id="req_1", generation_id="g1"):
        structlog.stdlib.get_logger("ours").info("one", steps=4)
        logging.getLogger("theirs").warning("two of %d", 2)
    structlog.stdlib.get_logger("ours").info("three")
    one, two, three = lines(stream)
    assert (one["event"], one["request_id"], one["generation_id"], one["steps"]) == ("one", "req_1", "g1", 4)
    assert (two["event"], two["request_id"], two["logger"], two["level"]) == ("two of 2", "req_1", "theirs", "warning")
    assert "request_id" not in three


def test_less_severe_lines_are_left_out(stream: io.StringIO) -> None:
    configure_logging(LogSettings(level="warning"), stream)
    structlog.stdlib.get_logger().info("no")
    structlog.stdlib.get_logger().error("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_reaches_the_stream(stream: io.StringIO, form: Any) -> None:
    configure_logging(LogSettings(format=form), stream)
    log = structlog.stdlib.get_logger()
    log.info("key " + KEY, headers={"X-Key": "hunter2", "Authorization": "Bearer hunter2"}, rows=[KEY, b"dk_hunter2xx"])
    logging.getLogger("uvicorn.access").info('"GET /r/1?exp=1&sig=%s HTTP/1.1"', "hunter2")
    try:
        local_secret = "hunter2"
        raise ValueError(KEY) from KeyError(len(local_secret))
    except ValueError as error:
        log.error("failed", exc_info=error)
    written = stream.getvalue()
    assert "hunter2" not in written
    assert KEY not in written
    assert "ValueError" in written


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"key={KEY}", "key=dk_[redacted]"),
        ("/r?sig=abc&exp=1", "/r?sig=[redacted]&exp=1"),
        ("x-key: abc", "x-key: [redacted]"),
        ("{'authorization': 'Bearer abc'}", "{'authorization': 'Bearer [redacted]'}"),
        ("postgresql+asyncpg://user:abc@host/db", "postgresql+asyncpg://user:[redacted]@host/db"),
        ("a red apple on a blue background", "a red apple on a blue background"),
    ],
)
def test_what_looks_like_a_secret_goes_and_the_rest_stays(text: str, clean: str) -> None:
    assert redact_text(text) == clean
