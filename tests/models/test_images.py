"""Pixels: the ends of the range, rounding, and no picture made of NaN."""

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import NonFiniteImage
from models.images import to_image, to_uint8, upright


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


def test_values_that_only_add_up_to_infinity_are_clipped() -> None:
    image = torch.full((3, 1, 4), 3e38)
    assert (to_uint8(image) == 255).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_value_becomes_the_level_that_numpy_rounds_it_to(dtype: torch.dtype) -> None:
    image_CHW = torch.linspace(-1.1, 1.1, 3 * 64 * 64).reshape(3, 64, 64).to(dtype)
    unit_CHW = (image_CHW * 0.5 + 0.5).clamp(0, 1).float().numpy()
    assert np.array_equal(to_uint8(image_CHW), np.rint(unit_CHW * 255).astype(np.uint8).transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("mode", "becomes"),
    [("RGB", "RGB"), ("L", "L"), ("RGBA", "RGBA"), ("LA", "RGBA"), ("P", "RGB"), ("1", "RGB"), ("CMYK", "RGB")],
)
def test_pictures_of_any_mode_become_one_of_three(mode: str, becomes: str) -> None:
    assert upright(Image.new("RGB", (3, 2), "white").convert(mode)).mode == becomes


def test_a_palette_with_a_transparent_colour_is_transparent_there() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 1
    assert [upright(image).getpixel((column, 0)) for column in (0, 1)] == [(255, 0, 0, 255), (0, 0, 255, 0)]


def test_sixteen_bits_are_scaled_not_cut() -> None:
    image = Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16))
    assert np.asarray(upright(image)).tolist() == [[0, 1, 128, 255]]
