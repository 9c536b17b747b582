"""Edges: closed forms, the two thresholds, three equal channels."""

import cv2
import numpy as np
import pytest

from models.errors import UnsupportedInput
from models.vision.canny import edges

SIZE = 32


def step(height: int) -> np.ndarray:
    """A vertical step of this many levels in the middle."""
    pixels = np.full((SIZE, SIZE + 8, 3), 60, dtype=np.uint8)
    pixels[:, SIZE // 2 :] += np.uint8(height)
    return pixels


def test_a_step_is_one_line_as_high_as_the_picture() -> None:
    found = edges(step(100))
    assert found.shape == (SIZE, SIZE + 8, 3)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 255}
    assert (found == found[:, :, :1]).all()
    columns = np.flatnonzero(found[:, :, 0].any(axis=0))
    assert len(columns) == 1
    assert columns[0] in (SIZE // 2 - 1, SIZE // 2)
    assert (found[:, columns[0], 0] == 255).all()


@pytest.mark.parametrize("height", [20, 49, 51, 150])
def test_an_edge_begins_above_the_high_threshold(height: int) -> None:
    """A step of h levels has a Sobel gradient of 4 h."""
    assert edges(step(height), 10, 200).any() == (4 * height > 200)


def test_the_low_threshold_prolongs_edges_and_begins_none() -> None:
    fading = np.full((SIZE, SIZE, 3), 60, dtype=np.uint8)
    fading[:, SIZE // 2 :] += np.linspace(20, 100, SIZE).astype(np.uint8)[:, None, None]
    counts = [int((edges(fading, low, 300) > 0).sum()) for low in (300, 200, 100)]
    assert counts[0] < counts[1] < counts[2]
    assert not edges(step(40), 10, 200).any()


def test_a_change_of_colour_alone_is_an_edge() -> None:
    pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    pixels[:, : SIZE // 2, 0] = pixels[:, SIZE // 2 :, 1] = 200
    assert edges(pixels).any()


def test_it_is_what_opencv_finds_in_the_colour_picture() -> None:
    rng = np.random.default_rng(0)
    rough = cv2.resize(rng.integers(0, 256, (8, 6, 3), dtype=np.uint8), (48, 64), interpolation=cv2.INTER_CUBIC)
    pixels = np.asarray(rough, dtype=np.uint8)
    for low, high in ((50, 200), (0, 0), (100, 400)):
        assert np.array_equal(edges(pixels, low, high)[:, :, 1], cv2.Canny(pixels, low, high))


@pytest.mark.parametrize(("low", "high"), [(-1, 100), (200, 100), (100, 2041)])
def test_thresholds_out_of_range_are_refused(low: int, high: int) -> None:
    with pytest.raises(UnsupportedInput, match="low <= high"):
        edges(step(100), low, high)
