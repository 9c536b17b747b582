"""Previews on their way out: small enough for a line of every transport whatever they show, and one at a time of a row."""

import asyncio
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.core.events.base import MAX_PREVIEW_BYTES, Preview
from tests.workers.bench import RecordingBus
from workers.engine.events import Previewed
from workers.previews import LONGEST_SIDE, Previews, jpeg_of

pytestmark = pytest.mark.anyio

SHOWN = Previewed(("g", 1), 3, 8, np.full((32, 64, 3), 200, np.uint8))


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(BytesIO(jpeg))
    assert image.format == "JPEG"
    return image


def test_a_preview_has_its_pictures_size_up_to_a_limit() -> None:
    assert opened(jpeg_of(SHOWN.image_HWC, 128, 64)).size == (128, 64)
    assert opened(jpeg_of(SHOWN.image_HWC, 1024, 512)).size == (LONGEST_SIDE, LONGEST_SIDE // 2)


def test_even_noise_is_small_enough() -> None:
    noise_HWC = np.random.default_rng(0).integers(0, 256, (LONGEST_SIDE, LONGEST_SIDE, 3), np.uint8)
    assert len(jpeg_of(noise_HWC, 2048, 2048)) <= MAX_PREVIEW_BYTES


async def test_what_comes_while_one_is_made_is_dropped() -> None:
    bus = RecordingBus()
    previews = Previews(bus)
    await asyncio.gather(previews.send(SHOWN, 128, 64), previews.send(SHOWN, 128, 64))
    await previews.send(SHOWN, 128, 64)
    assert [(one.generation_id, one.step, one.num_steps) for one in bus.published if isinstance(one, Preview)] == [
        ("g", 3, 8)
    ] * 2
