"""Structured logs on standard error: JSON for machines, colours on a terminal, never a secret.

`bind(request_id=..., generation_id=...)` puts names on every line of the running task.
"""

import logging
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.core.config import LogSettings

REDACTED = "[redacted]"

_SECRET_NAMES = frozenset({"x-key", "x_key", "authorization", "cookie", "api_key", "password", "token", "secret"})
_SECRET_TEXT: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (("dk_",), re.compile(r"\bdk_[A-Za-z0-9_]{8,}"), "dk_" + REDACTED),
    (
        ("?", "&"),
        re.compile(r"([?&](?:sig|signature|X-Amz-Signature|token)=)[^&\s\"']+", re.IGNORECASE),
        r"\1" + REDACTED,
    ),
    (
        ("x-key", "authorization"),
        re.compile(r"(\b(?:x-key|authorization)\b[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?)[^\s\"',}]+", re.IGNORECASE),
        r"\1" + REDACTED,
    ),
    (("bearer",), re.compile(r"(\bbearer\s+)[A-Za-z0-9._~+/=-]+", re.IGNORECASE), r"\1" + REDACTED),
    (("://",), re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]+:)[^\s@/]+(?=@)", re.IGNORECASE), r"\1" + REDACTED),
)
"""What a match has in it somewhere, in small letters (nearly all text has none of it), what is looked for, and what stands there instead."""


def configure_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records through one pipeline. Called once, by whoever starts the process."""
    out = stream or sys.stderr
    as_json = settings.format == "json" or (settings.format == "auto" and not out.isatty())
    renderer = structlog.processors.JSONRenderer() if as_json else _console(out)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared = _shared_processors()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    last = (structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, redact)
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*last, renderer]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


@contextmanager
def bind(**names: str) -> Generator[None]:
    """Put names (request_id, generation_id) on every line that is written inside."""
    with structlog.contextvars.bound_contextvars(**names):
        yield


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: hide keys, signatures and passwords, wherever in the event they are."""
    return {name: _clean(name, value) for name, value in event.items()}


def redact_text(text: str) -> str:
    """The text without anything that looks like a key, a signature or a password in an address."""
    lower = text.lower()
    for marks, pattern, replacement in _SECRET_TEXT:
        if any(mark in lower for mark in marks):
            text = pattern.sub(replacement, text)
    return text


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _console(out: TextIO) -> Processor:
    """Plain tracebacks: a pretty one prints local variables, and with them prompts and keys."""
    return structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _clean(name: str, value: Any) -> Any:
    if name.lower() in _SECRET_NAMES:
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {key: _clean(str(key), item) for key, item in cast(Mapping[object, object], value).items()}
    if isinstance(value, list | tuple):
        return [_clean(name, item) for item in cast(Sequence[object], value)]
    if isinstance(value, bytes):
        return redact_text(value.decode(errors="replace"))
    return value
