"""Pixels: the ends of the range, rounding, and no picture made of NaN."""

import numpy as np
import pytest
import torch

from models.errors import NonFiniteImage
from models.images import to_image, to_uint8


def test_the_range_maps_to_all_levels_and_is_clipped() -> None:
    image = torch.tensor([-1.0, 1.0, -7.0, 7.0, 0.0]).expand(3, 1, 5)
    assert to_uint8(image)[0, :, 0].tolist() == [0, 255, 0, 255, 128]


def test_levels_are_rounded_not_cut() -> None:
    levels = torch.arange(256.0)
    image = ((levels + 0.4) / 255 * 2 - 1).clamp(-1, 1).expand(3, 1, 256)
    assert to_uint8(image)[0, :, 0].tolist() == list(range(256))


def test_the_last_axis_is_colour() -> None:
    image = torch.stack([torch.full((2, 4), value) for value in (-1.0, 0.0, 1.0)])
    pixels = to_uint8(image)
    assert pixels.shape == (2, 4, 3)
    assert pixels.dtype == np.uint8
    assert to_image(pixels).size == (4, 2)
    assert to_image(pixels).getpixel((0, 0)) == (0, 128, 255)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_single_value_that_is_not_finite_is_an_error(bad: float) -> None:
    image = torch.zeros(3, 4, 4)
    image[1, 2, 3] = bad
    with pytest.raises(NonFiniteImage, match="1 values of 48"):
        to_uint8(image)
