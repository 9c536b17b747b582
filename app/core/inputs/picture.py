"""A picture that was sent: its bytes, what its header says, and whether this service takes it."""

import hashlib
from dataclasses import dataclass
from mmap import mmap

from app.core.errors import InvalidRequest
from app.core.inputs.encoded import decoded
from app.core.inputs.header import BadPicture, Header, read_header

MAX_PIXELS = 20 * 2**20
"""Width times height of one picture."""
MAX_SIDE = 16_384
"""Pixels; WebP ends here too."""


@dataclass(frozen=True)
class Picture:
    """A picture in memory, in the file that it came in."""

    data: bytes
    sha256: str
    header: Header

    @property
    def num_bytes(self) -> int:
        return len(self.data)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as it is seen."""
        return self.header.width, self.header.height


@dataclass(frozen=True)
class StoredPicture:
    """A picture that lies in the object store already, under `key`, and was looked at when it came there."""

    key: str
    sha256: str
    header: Header
    num_bytes: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as it is seen."""
        return self.header.width, self.header.height


def read_picture(field: str, text: str, min_side: int) -> Picture:
    """Decode the text and look at the header; blocks for as long as the bytes are many, so call it in a thread.

    Raises InvalidRequest, naming the field, for what is no picture, is too large, or has a side below `min_side` pixels.
    """
    return picture_of(field, decoded(field, text), min_side)


def picture_of(field: str, data: bytes, min_side: int) -> Picture:
    """The same of bytes that are here already."""
    return Picture(data, hashlib.sha256(data).hexdigest(), header_of(field, data, min_side))


def header_of(field: str, data: bytes | mmap, min_side: int) -> Header:
    """The header alone, with the same refusals."""
    try:
        header = read_header(data)
    except BadPicture as error:
        raise InvalidRequest(f"{field}: {error}", field=field, limit="a PNG, JPEG or WebP picture") from None
    check_size(field, header, min_side)
    return header


def check_size(field: str, header: Header, min_side: int) -> None:
    """Raise InvalidRequest, naming the field, for sides and pixels outside the limits."""
    size = f"{header.width}x{header.height}"
    if not all(min_side <= side <= MAX_SIDE for side in (header.width, header.height)):
        message = f"{field}: each side of the picture must have {min_side} to {MAX_SIDE} pixels"
        raise InvalidRequest(message, field=field, value=size, limit=f"{min_side} to {MAX_SIDE}")
    if header.width * header.height > MAX_PIXELS:
        message = f"{field}: a picture may have {MAX_PIXELS >> 20} megapixels"
        raise InvalidRequest(message, field=field, value=size, limit=f"{MAX_PIXELS} pixels")
