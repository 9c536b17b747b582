"""Whether a file reaches its end, told from its structure alone: half a picture is refused before it is charged and queued."""

import struct
from mmap import mmap

_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA


def is_complete_png(data: bytes | mmap) -> bool:
    """Whether the chunks lead to IEND: after 8 bytes of signature, each is a length, a type, the data and a checksum."""
    position = 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if kind == b"IEND":
            return position <= len(data)
    return False


def is_complete_jpeg(data: bytes | mmap) -> bool:
    """Whether an end-of-image marker follows the first scan. What lies behind it (a film, a depth map) is not looked at."""
    scan = _start_of_scan(data)
    return scan is not None and data.find(_END_OF_IMAGE, scan) >= 0


def _start_of_scan(data: bytes | mmap) -> int | None:
    """Where the pixels begin, past the segments (a thumbnail in one of them has markers of its own)."""
    position = 2
    while position + 4 <= len(data):
        marker, kind = data[position], data[position + 1]
        if marker != 0xFF:
            return None
        if kind == 0xFF:  # fill byte
            position += 1
            continue
        if kind == _START_OF_SCAN:
            return position
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return None
