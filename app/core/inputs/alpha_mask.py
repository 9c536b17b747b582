"""A mask whose transparency says what to change, turned into one that is white there."""

import io
import threading

from PIL import Image, UnidentifiedImageError

from app.core.errors import InvalidRequest
from app.core.inputs.header import BadPicture, read_header
from app.core.inputs.picture import MAX_PIXELS, MAX_SIDE

_ONE_AT_A_TIME = threading.Lock()
"""A mask of the largest size takes 100 MB while it is turned round."""


def white_where_transparent(field: str, data: bytes) -> bytes:
    """A gray PNG: white where `data` is transparent, black where it is opaque. Blocks; call it in a thread.

    Raises:
        InvalidRequest: it is no picture, too large, damaged, or has no transparency at all.
    """
    try:
        header = read_header(data)
    except BadPicture as error:
        raise InvalidRequest(f"{field}: {error}", field=field, limit="a PNG picture with transparency") from None
    size = f"{header.width}x{header.height}"
    if header.width * header.height > MAX_PIXELS or max(header.width, header.height) > MAX_SIDE:
        raise InvalidRequest(
            f"{field}: the picture is too large", field=field, value=size, limit=f"{MAX_PIXELS} pixels"
        )
    if not header.has_alpha:
        message = f"{field}: it has no transparency, which is what says where to draw"
        raise InvalidRequest(message, field=field, value=size, limit="a picture with an alpha channel")
    with _ONE_AT_A_TIME:
        return _turned(field, data)


def _turned(field: str, data: bytes) -> bytes:
    turned = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as picture:
            alpha = picture.convert("RGBA").getchannel("A")
        alpha.point(lambda opacity: 255 - opacity).save(turned, "PNG", compress_level=1)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InvalidRequest(f"{field}: the picture is damaged ({error})", field=field, limit="a whole PNG") from None
    return turned.getvalue()
