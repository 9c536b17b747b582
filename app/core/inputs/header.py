"""What a picture's header says, read without decoding a pixel. Pillow reads it; which reader, the first bytes say."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from typing import IO, TYPE_CHECKING, cast

from app.core.inputs.complete import is_complete_jpeg, is_complete_png

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_ORIENTATION = 0x0112
_TURNED_ASIDE = (5, 6, 7, 8)
_START_BYTES = 12
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")

DAMAGED = (SyntaxError, OSError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, struct.error)
"""What Pillow raises on bytes that are no picture, or half of one."""


class BadPicture(ValueError):
    """Bytes that are no picture which this service takes; the message is for the caller."""


@dataclass(frozen=True)
class Header:
    """Width and height are those of the picture as it is seen, after its EXIF orientation."""

    content_type: str
    width: int
    height: int
    has_alpha: bool


@dataclass(frozen=True)
class _Format:
    """A file format: how its files begin, who reads their header, and whether their bytes reach their end."""

    content_type: str
    starts: Callable[[bytes], bool]
    open: "Callable[[IO[bytes]], ImageFile]"
    is_complete: Callable[[bytes | mmap], bool]


# Pillow is loaded at the first picture: a gateway that is sent none starts without it (tests/contracts/test_imports.py).


def _open_png(file: IO[bytes]) -> "ImageFile":
    from PIL.PngImagePlugin import PngImageFile

    return PngImageFile(file)


def _open_jpeg(file: IO[bytes]) -> "ImageFile":
    from PIL.JpegImagePlugin import JpegImageFile

    return JpegImageFile(file)


def _open_webp(file: IO[bytes]) -> "ImageFile":
    from PIL.WebPImagePlugin import WebPImageFile

    return WebPImageFile(file)


_FORMATS = (
    _Format("image/png", lambda start: start.startswith(b"\x89PNG\r\n\x1a\n"), _open_png, is_complete_png),
    _Format("image/jpeg", lambda start: start.startswith(b"\xff\xd8\xff"), _open_jpeg, is_complete_jpeg),
    # WebP's reader looks at the whole file itself.
    _Format("image/webp", lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP", _open_webp, lambda data: True),
)


def read_header(data: bytes | mmap) -> Header:
    """Type, size and transparency of a picture. Costs no more memory than the bytes. Raises BadPicture."""
    found = next((one for one in _FORMATS if one.starts(data[:_START_BYTES])), None)
    if found is None:
        raise BadPicture("not a PNG, JPEG or WebP file")
    image = _opened(found, data)
    if getattr(image, "is_animated", False):
        raise BadPicture("an animation; send a single picture")
    if not found.is_complete(data):
        raise BadPicture("cut off before the end of the picture")
    width, height = image.size
    if _orientation(image) in _TURNED_ASIDE:
        width, height = height, width
    has_alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
    return Header(found.content_type, width, height, has_alpha)


def _opened(found: _Format, data: bytes | mmap) -> "ImageFile":
    from PIL.Image import DecompressionBombError

    try:
        return found.open(_file_of(data))
    except DecompressionBombError:
        raise BadPicture("more pixels than any picture may have") from None
    except DAMAGED:
        raise BadPicture(f"damaged: its header cannot be read as {found.content_type}") from None


def _file_of(data: bytes | mmap) -> IO[bytes]:
    """A mapped file reads as one."""
    if isinstance(data, bytes):
        return io.BytesIO(data)
    data.seek(0)
    return cast("IO[bytes]", data)


def _orientation(image: "ImageFile") -> object:
    """The EXIF orientation, 1 for none. A damaged tag turns nothing, as in browsers."""
    from PIL.Image import Image

    try:
        # Not image.getexif(): that of a PNG decodes the picture to look behind its pixels.
        return Image.getexif(image).get(_ORIENTATION, 1)
    except DAMAGED:
        return 1
