"""Text in finished files: chunks of a PNG, and EXIF data of JPEG and WebP. No pixel is touched.

Sources: PNG specification 11.3.4 (tEXt is Latin-1, iTXt is UTF-8); EXIF 2.32, UserComment's character code.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Final

from PIL import ExifTags, Image

_SIGNATURE_AND_HEADER: Final = 8 + 25
"""Bytes of a PNG before its second chunk: the signature, and IHDR with its length, name and checksum."""


def with_png_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """The same PNG with a text chunk for each keyword, before the pixels: readers that stop there have seen them."""
    chunks = b"".join(_text_chunk(keyword, text) for keyword, text in texts.items())
    return png[:_SIGNATURE_AND_HEADER] + chunks + png[_SIGNATURE_AND_HEADER:]


def exif_data(comment: str, description: str, software: str) -> bytes:
    """EXIF data for Pillow's `exif`: the comment in UTF-16, where readers look for generation data; the description in UTF-8."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = description.encode()
    exif[ExifTags.Base.Software] = software
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + comment.encode("utf-16-be")
    return exif.tobytes()


def _text_chunk(keyword: str, text: str) -> bytes:
    """Latin-1 where the text is that, as old readers know nothing else; UTF-8 where it is not."""
    name = keyword.encode("latin-1") + b"\0"
    try:
        return _chunk(b"tEXt", name + text.encode("latin-1"))
    except UnicodeEncodeError:
        not_compressed_and_no_language = b"\0\0\0\0"
        return _chunk(b"iTXt", name + not_compressed_and_no_language + text.encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
