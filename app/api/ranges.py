"""Which bytes of a picture a request wants, and whether it has them already (RFC 9110, sections 13 and 14)."""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """Bytes from `start` to before `stop`."""

    start: int
    stop: int


class Unsatisfiable(ValueError):
    """A range that begins behind the last byte, or the last none."""


def has_it(headers: Headers, etag: str) -> bool:
    """Whether If-None-Match names this version: a weak tag is as good as a strong one here."""
    known = headers.get("if-none-match")
    if known is None:
        return False
    return known.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in known.split(","))


def wanted(headers: Headers, etag: str, num_bytes: int) -> Part | None:
    """The one part that is asked for; None for all of it.

    All of it comes, too, for several parts, for a range in words that are none, and where If-Range names another version (a date
    always does: nothing here has one). Raises Unsatisfiable.
    """
    found = _ONE_RANGE.fullmatch(headers.get("range", ""))
    if found is None or headers.get("if-range", etag).strip() != etag:
        return None
    first, last = found[1], found[2]
    if not first:
        return _last(int(last), num_bytes) if last else None
    if last and int(last) < int(first):
        return None
    if int(first) >= num_bytes:
        raise Unsatisfiable
    return Part(int(first), min(int(last) + 1, num_bytes) if last else num_bytes)


def _last(length: int, num_bytes: int) -> Part:
    if not length or not num_bytes:
        raise Unsatisfiable
    return Part(max(0, num_bytes - length), num_bytes)
