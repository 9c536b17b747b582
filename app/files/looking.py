"""What is found in an uploaded file before it is stored, under the limits that hold for every picture that is sent."""

from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from app.core.errors import InvalidRequest
from app.core.inputs.encoded import MAX_BYTES, too_large
from app.core.inputs.header import Header
from app.core.inputs.picture import header_of
from app.core.storage.base import file_sha256

FIELD = "file"
MIN_SIDE = 1
"""Pixels. Each model has a minimum of its own, which is asked for when the file is used."""


@dataclass(frozen=True)
class Seen:
    """Of a whole file."""

    header: Header
    sha256: str
    num_bytes: int


def look_at(file: BinaryIO) -> Seen:
    """Length, header and digest of a file on disk; it is mapped, not read into memory. Blocks: call it in a thread.

    Raises InvalidRequest for what is no picture, or is one outside the limits.
    """
    num_bytes = file.seek(0, 2)
    if num_bytes > MAX_BYTES:
        raise too_large(FIELD, f"{num_bytes} bytes")
    if not num_bytes:
        raise InvalidRequest(f"{FIELD}: there is no picture in it", field=FIELD, limit="at least 1 byte")
    descriptor = file.fileno()  # of a file that was in memory so far, too: asking puts it on disk
    file.flush()
    with mmap(descriptor, 0, access=ACCESS_READ) as mapped:
        header = header_of(FIELD, mapped, MIN_SIDE)
    return Seen(header, file_sha256(file).hex(), num_bytes)
