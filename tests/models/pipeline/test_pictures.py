"""Pictures to pixels: ranges, sizes, masks, references and frames, by closed forms."""

import numpy as np
import pytest
from PIL import Image

from models.pipeline.pictures import mask_pixels, masked, pixels, reference_pixels, reference_size
from models.pipeline.request import Margins, PictureInputs
from models.specs import KONTEXT_REFERENCES, KONTEXT_SIZES, References
from tests.models.pipeline.parity import mask, picture


def test_levels_become_minus_one_to_one() -> None:
    image = Image.fromarray(np.array([[[0, 255, 51]]], np.uint8))
    assert pixels(image, 1, 1).flatten().tolist() == pytest.approx([-1.0, 1.0, -0.6])


def test_a_mask_is_black_and_white_whatever_its_greys_and_colours() -> None:
    greys = Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8))
    assert mask_pixels(greys, 4, 1).flatten().tolist() == [0, 0, 1, 1]
    assert mask_pixels(greys.convert("RGB"), 4, 1).flatten().tolist() == [0, 0, 1, 1]


def test_the_transparent_part_is_what_changes_unless_a_mask_says_otherwise() -> None:
    image = picture(8, 4).convert("RGBA")
    image.putalpha(mask(8, 4, left=0.5, top=0.0))
    by_alpha = masked(PictureInputs(image=image))
    assert by_alpha is not None
    assert by_alpha.mask is not None
    assert np.array_equal(np.asarray(by_alpha.mask), 255 - np.asarray(mask(8, 4, left=0.5, top=0.0)))
    given = masked(PictureInputs(image=image, mask=mask(8, 4)))
    assert given is not None
    assert given.mask is not None
    assert np.array_equal(np.asarray(given.mask), np.asarray(mask(8, 4)))
    assert masked(PictureInputs()) is None


def test_a_frame_is_masked_and_the_picture_lies_where_the_margins_say() -> None:
    extended = masked(PictureInputs(image=picture(8, 4), margins=Margins(top=1, bottom=2, left=3, right=4)))
    assert extended is not None
    assert extended.mask is not None
    assert extended.image.size == extended.mask.size == (15, 7)
    assert np.array_equal(np.asarray(extended.image)[1:5, 3:11], np.asarray(picture(8, 4)))
    frame = np.asarray(extended.mask)
    assert not frame[1:5, 3:11].any()
    assert int((frame == 255).sum()) == 15 * 7 - 8 * 4


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 64), (64, 64)), ((129, 70), (128, 64)), ((1024, 1024), (1024, 1024)), ((2048, 1024), (1440, 720))],
)
def test_references_are_shrunk_to_their_area_and_cut_to_whole_patches(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert reference_size(Image.new("RGB", size), References(most=8), 16) == expected
    assert reference_pixels(Image.new("RGB", size), References(most=8), 16).shape == (1, 3, *expected[::-1])


def test_a_reference_is_cut_about_its_middle() -> None:
    image = picture(70, 64)
    assert np.array_equal(reference_pixels(image, References(most=1), 16), pixels(image.crop((3, 0, 67, 64)), 64, 64))


@pytest.mark.parametrize(
    ("size", "expected"), [((500, 500), (1024, 1024)), ((100, 900), (672, 1568)), ((300, 200), (1248, 832))]
)
def test_kontext_reads_references_at_its_own_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert reference_size(Image.new("RGB", size), KONTEXT_REFERENCES, 16) == expected


def test_kontexts_sizes_are_about_a_megapixel_and_symmetric() -> None:
    assert len(KONTEXT_SIZES) == 17
    assert {(height, width) for width, height in KONTEXT_SIZES} == set(KONTEXT_SIZES)
    assert all(side % 16 == 0 for size in KONTEXT_SIZES for side in size)
    assert all(0.98 < width * height / 1024**2 < 1.02 for width, height in KONTEXT_SIZES)
