"""Previews on their way out: a small JPEG of what a row looks like, made in a thread and sent as an event."""

import asyncio
from io import BytesIO
from typing import Final

from numpy import uint8
from numpy.typing import NDArray
from PIL import Image

from app.core.events.base import MAX_PREVIEW_BYTES, EventBus, Preview
from workers.engine.events import Previewed
from workers.engine.row import RowKey

LONGEST_SIDE: Final = 256
"""Pixels of the longer side of a preview, at most."""
QUALITIES: Final = (80, 60, 40, 20)
"""Of JPEG, the first that is small enough: noise takes many bytes."""


class Previews:
    """Sends previews, of each row one at a time; what comes meanwhile is dropped."""

    def __init__(self, events: EventBus) -> None:
        self._events = events
        self._under_way: set[RowKey] = set()

    async def send(self, shown: Previewed, width: int, height: int) -> None:
        """Send one of a picture of so many pixels."""
        if shown.key in self._under_way:
            return
        self._under_way.add(shown.key)
        try:
            jpeg = await asyncio.to_thread(jpeg_of, shown.image_HWC, width, height)
        finally:
            self._under_way.discard(shown.key)
        self._events.publish(Preview(shown.key[0], shown.step, shown.num_steps, jpeg))


def jpeg_of(image_HWC: NDArray[uint8], width: int, height: int) -> bytes:
    """At the picture's own size, or smaller so that no side is longer than LONGEST_SIDE; at most MAX_PREVIEW_BYTES."""
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(image_HWC).resize(size, Image.Resampling.BICUBIC)
    data = b""
    for quality in QUALITIES:
        data = _encoded(image, quality)
        if len(data) <= MAX_PREVIEW_BYTES:
            break
    return data


def _encoded(image: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="jpeg", quality=quality)
    return buffer.getvalue()
