"""Encoded files: the size asked for, the pixels kept, the same bytes every time."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.core.storage.base import CONTENT_TYPES
from workers.artifacts import OutputFormat, encode

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
SMOOTH = np.stack([*np.meshgrid(np.arange(80), np.arange(48)), np.full((48, 80), 90)], axis=-1).astype(np.uint8)


def test_png_keeps_every_pixel() -> None:
    with Image.open(BytesIO(encode(PIXELS, "png").data)) as image:
        assert np.array_equal(np.asarray(image), PIXELS)


def test_a_png_of_one_colour_is_small() -> None:
    assert len(encode(np.full((512, 512, 3), 200, np.uint8), "png").data) < 4096


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_lossy_formats_stay_close(output_format: OutputFormat) -> None:
    with Image.open(BytesIO(encode(SMOOTH, output_format).data)) as image:
        assert np.abs(np.asarray(image).astype(int) - SMOOTH.astype(int)).mean() < 4


@pytest.mark.parametrize("output_format", CONTENT_TYPES)
def test_size_type_and_bytes_are_what_they_say(output_format: OutputFormat) -> None:
    artifact = encode(PIXELS, output_format)
    assert artifact == encode(PIXELS.copy(), output_format)
    with Image.open(BytesIO(artifact.data)) as image:
        assert image.size == (artifact.width, artifact.height) == (80, 48)
        assert image.get_format_mimetype() == artifact.content_type


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_a_lower_quality_is_a_smaller_file(output_format: OutputFormat) -> None:
    sizes = [len(encode(PIXELS, output_format, quality).data) for quality in (10, 50, None)]
    assert sizes == sorted(sizes)
    assert encode(PIXELS, "png", 10) == encode(PIXELS, "png")
