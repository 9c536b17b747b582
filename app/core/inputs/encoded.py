"""Bytes out of the text that stands for them in JSON: base64, or a data URI of it."""

import binascii
import re
from collections.abc import Iterator

from app.core.errors import InvalidRequest

MAX_BYTES = 20 * 2**20
"""Of one picture."""
MAX_MEGABYTES = f"{MAX_BYTES >> 20} MB"

_DATA_URI = re.compile(r"data:(?P<header>[^,]{0,200}),", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://", re.IGNORECASE)
_PIECE_CHARS = 1 << 18
_MAX_CHARS = MAX_BYTES * 4 // 3 + MAX_BYTES // 16
"""Base64 of the largest picture, with a line break every 64 characters."""


def is_url(text: str) -> bool:
    """Whether a text names a place rather than being a picture; of which kinds of places, whoever fetches decides."""
    return _URL.match(text) is not None


def decoded(field: str, text: str) -> bytes:
    """The bytes of a picture. Raises InvalidRequest, naming the field, for anything but base64 or a data URI of it.

    Spaces and line breaks are skipped; other characters outside the alphabet, and missing padding, are refused.
    """
    encoded = _without_header(field, text)
    if len(encoded) > _MAX_CHARS:
        raise too_large(field, f"{len(encoded)} characters of base64")
    data = _from_base64(field, encoded)
    if len(data) > MAX_BYTES:
        raise too_large(field, f"{len(data)} bytes")
    if not data:
        raise InvalidRequest(f"{field}: there is no picture in it", field=field, value=text, limit="at least 1 byte")
    return data


def _without_header(field: str, text: str) -> str:
    """The text itself, or what follows a data URI's comma. The type that it claims is not believed; the bytes say it."""
    found = _DATA_URI.match(text)
    if found is None:
        return text
    if not found["header"].lower().replace(" ", "").endswith(";base64"):
        raise InvalidRequest(
            f"{field}: a data URI must be of base64", field=field, value=text, limit="data:...;base64,..."
        )
    return text[found.end() :]


def _from_base64(field: str, encoded: str) -> bytes:
    try:
        return b"".join(_pieces(encoded))
    except ValueError as error:
        message = f"{field}: not base64 ({error})"
        raise InvalidRequest(message, field=field, value=encoded, limit="A-Z a-z 0-9 + / with = as padding") from None


def _pieces(encoded: str) -> Iterator[bytes]:
    """Decode piece by piece: one long call would keep every other thread of the process waiting. Raises ValueError."""
    rest = ""
    for start in range(0, len(encoded), _PIECE_CHARS):
        text = rest + "".join(encoded[start : start + _PIECE_CHARS].split())
        end = max(0, (len(text) - 1) // 4 * 4)  # the last characters wait: only they may be padding
        if "=" in text[:end]:
            raise ValueError("padding before the end")
        yield binascii.a2b_base64(text[:end], strict_mode=True)
        rest = text[end:]
    yield binascii.a2b_base64(rest, strict_mode=True)


def too_large(field: str, got: str) -> InvalidRequest:
    """The refusal of a picture of more than MAX_BYTES."""
    message = f"{field}: a picture may have {MAX_MEGABYTES}; this is {got}"
    return InvalidRequest(message, field=field, limit=f"{MAX_BYTES} bytes")
