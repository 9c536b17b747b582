"""Sizes: native or the picture's when absent, checked as sent, then to the nearest multiple inside the limits."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.api.bfl.size import Asked, Size, clamped_ratio, drawn_size, extended_size
from app.core.catalog import CATALOG, Catalog, Resolved
from app.core.errors import InvalidRequest

NANO = Catalog().resolve("flux-nano")
PRO = Catalog().resolve("flux-2-pro")
PRO_ON_NANO = Catalog(aliases={"flux-2-pro": "flux-nano"}).resolve("flux-2-pro")
PRO_1 = Catalog().resolve("flux-pro")
FLUX1 = Catalog().resolve("flux-dev")
KONTEXT = Catalog().resolve("flux-kontext-pro")
ULTRA = Catalog().resolve("flux-pro-1.1-ultra")
FILL = Catalog().resolve("flux-pro-1.0-fill")
FILL_ON_NANO = Catalog(aliases={"flux-pro-1.0-fill": "flux-nano"}).resolve("flux-pro-1.0-fill")
models = st.sampled_from([Catalog().resolve(row.name) for row in CATALOG])
sides = st.integers(-10, 5000)
picture_sides = st.integers(16, 16_384)


def drawn(width: int | None, height: int | None, model: Resolved) -> Size:
    return drawn_size(Asked(width, height), model)


def edited(width: int, height: int, model: Resolved) -> Size:
    return drawn_size(Asked(picture=(width, height)), model)


@pytest.mark.parametrize("absent", [None, 0])
def test_an_absent_side_is_native_each_on_its_own(absent: int | None) -> None:
    assert drawn(absent, absent, NANO) == (128, 128)
    assert drawn(256, absent, NANO) == (256, 128)
    assert drawn(absent, absent, FLUX1) == (1024, 768)
    assert drawn(512, absent, FLUX1) == (512, 768)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(64, 64), (65, 64), (71, 64), (72, 80), (88, 96), (100, 96), (376, 384), (383, 384), (384, 384)],
)
def test_a_side_goes_to_the_nearest_multiple_halves_up(sent: int, expected: int) -> None:
    assert drawn(sent, sent, NANO) == (expected, expected)


@pytest.mark.parametrize("side", [1, 63, 385, 100000, -64])
def test_limits_are_checked_on_what_was_sent(side: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        drawn(128, side, NANO)
    assert (caught.value.field, caught.value.value, caught.value.limit) == ("height", side, "64 to 384")


@pytest.mark.parametrize("side", [257, 1000, 1424])
def test_bfls_flux1_rounds_nothing(side: int) -> None:
    with pytest.raises(InvalidRequest, match="width must be a multiple of 32"):
        drawn(side, 768, FLUX1)
    assert drawn(side // 32 * 32, 768, FLUX1) == (side // 32 * 32, 768)


@pytest.mark.parametrize("size", [(2048, 2048), (4096, 1024), (65536, 64)])
def test_four_megapixels_are_accepted_in_any_shape(size: tuple[int, int]) -> None:
    assert drawn(*size, PRO) == size


def test_more_than_four_megapixels_are_not() -> None:
    with pytest.raises(InvalidRequest, match="4194304"):
        drawn(2049, 2048, PRO)


def test_under_an_alias_either_name_may_accept_a_size_and_the_running_one_gives_the_native() -> None:
    assert drawn(0, 0, PRO_ON_NANO) == (128, 128)
    assert drawn(1024, 768, PRO_ON_NANO) == (1024, 768)
    assert drawn(384, 384, PRO_ON_NANO) == (384, 384)
    with pytest.raises(InvalidRequest):
        drawn(63, 64, PRO_ON_NANO)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ((1000, 500), (1008, 496)),
        ((2048, 2048), (2048, 2048)),
        ((4096, 4096), (2048, 2048)),
        ((6000, 3000), (2896, 1440)),
    ],
)
def test_an_edited_picture_gives_its_size_to_the_result_up_to_four_megapixels(picture: Size, expected: Size) -> None:
    assert edited(*picture, PRO) == expected


def test_the_network_that_runs_bounds_a_size_that_nobody_gave() -> None:
    assert edited(1024, 512, PRO_ON_NANO) == (384, 192)
    assert edited(20, 20, NANO) == (64, 64)
    assert drawn_size(Asked(width=256, picture=(320, 160)), NANO) == (256, 160)


def test_a_filled_picture_keeps_its_size_wherever_the_public_name_allows_it() -> None:
    assert edited(1024, 512, FILL_ON_NANO) == edited(1024, 512, FILL) == (1024, 512)
    assert edited(4000, 3000, FILL) == (2352, 1760)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(1.0, (1024, 1024)), (16 / 9, (1360, 768)), (9 / 16, (768, 1360)), (21 / 9, (1568, 672))]
)
def test_kontext_keeps_its_megapixel_in_any_shape(ratio: float, expected: Size) -> None:
    assert drawn_size(Asked(ratio=ratio), KONTEXT) == expected


def test_kontext_takes_the_shape_of_its_picture_unless_told_another() -> None:
    assert edited(4000, 3000, KONTEXT) == (1184, 880)
    assert edited(4000, 100, KONTEXT) == drawn_size(Asked(ratio=21 / 9), KONTEXT)
    assert drawn_size(Asked(ratio=1.0, picture=(4000, 3000)), KONTEXT) == (1024, 1024)
    assert drawn_size(Asked(), KONTEXT) == (1024, 1024)


def test_ultra_draws_about_four_megapixels() -> None:
    for ratio in (1.0, 16 / 9, 9 / 21):
        width, height = drawn_size(Asked(ratio=ratio), ULTRA)
        assert 4_000_000 < width * height <= 2048 * 2048
        assert abs(width / height / ratio - 1) < 0.02


def test_an_extended_picture_has_its_margins_or_is_refused() -> None:
    assert extended_size((500, 400), 100, 0, FILL) == (608, 400)
    with pytest.raises(InvalidRequest, match="margins"):
        extended_size((2048, 2048), 16, 0, FILL)


@given(models, sides, sides)
def test_what_is_drawn_fits_the_limits_and_is_near_what_was_sent(model: Resolved, width: int, height: int) -> None:
    row = model.row
    sent = (width or row.native_width, height or row.native_height)
    try:
        size = drawn(width, height, model)
    except InvalidRequest:
        assert not row.accepts(*sent)
        return
    assert row.accepts(*size)
    for one, other in zip(size, sent, strict=True):
        assert one % row.size.multiple == 0
        assert abs(one - other) < row.size.multiple


@given(models, picture_sides, picture_sides)
@example(PRO_1, 16, 19)
def test_any_picture_gives_a_size_within_the_limits_and_near_its_shape(
    model: Resolved, width: int, height: int
) -> None:
    size = edited(width, height, model)
    assert model.row.accepts(*size)
    assert all(side % model.row.size.multiple == 0 for side in size)
    if max(width, height) < 2.3 * min(width, height) and min(size) >= 256:  # beside less, a multiple is much
        assert abs(size[0] / size[1] / clamped_ratio(width, height) - 1) < 0.15
