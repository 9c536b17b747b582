"""Sizes: native when absent, checked as sent, then to the nearest multiple inside the limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.bfl.size import accepted_size
from app.core.catalog import CATALOG, Catalog, CatalogRow
from app.core.errors import InvalidRequest

NANO = Catalog().by_name("flux-nano")
PRO = Catalog().by_name("flux-2-pro")
rows = st.sampled_from(CATALOG)
sides = st.integers(-10, 5000)


@pytest.mark.parametrize("absent", [None, 0])
def test_an_absent_side_is_native_each_on_its_own(absent: int | None) -> None:
    assert accepted_size(absent, absent, NANO, NANO) == (128, 128)
    assert accepted_size(256, absent, NANO, NANO) == (256, 128)


@pytest.mark.parametrize(
    ("sent", "drawn"), [(64, 64), (65, 64), (71, 64), (72, 80), (88, 96), (100, 96), (376, 384), (383, 384), (384, 384)]
)
def test_a_side_goes_to_the_nearest_multiple_halves_up(sent: int, drawn: int) -> None:
    assert accepted_size(sent, sent, NANO, NANO) == (drawn, drawn)


@pytest.mark.parametrize("side", [1, 63, 385, 100000, -64])
def test_limits_are_checked_on_what_was_sent(side: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        accepted_size(128, side, NANO, NANO)
    assert (caught.value.field, caught.value.value, caught.value.limit) == ("height", side, "64 to 384")


@pytest.mark.parametrize("size", [(2048, 2048), (4096, 1024), (65536, 64)])
def test_four_megapixels_are_accepted_in_any_shape(size: tuple[int, int]) -> None:
    assert accepted_size(*size, PRO, PRO) == size


def test_more_than_four_megapixels_are_not() -> None:
    with pytest.raises(InvalidRequest, match="4194304"):
        accepted_size(2049, 2048, PRO, PRO)


def test_under_an_alias_either_name_may_accept_a_size_and_the_running_one_gives_the_native() -> None:
    assert accepted_size(0, 0, PRO, NANO) == (128, 128)
    assert accepted_size(1024, 768, PRO, NANO) == (1024, 768)
    assert accepted_size(384, 384, PRO, NANO) == (384, 384)
    with pytest.raises(InvalidRequest):
        accepted_size(63, 64, PRO, NANO)


@given(rows, sides, sides)
def test_what_is_drawn_fits_the_limits_and_is_near_what_was_sent(row: CatalogRow, width: int, height: int) -> None:
    try:
        drawn = accepted_size(width, height, row, row)
    except InvalidRequest:
        assert not row.accepts(width or row.native_width, height or row.native_height)
        return
    assert row.accepts(*drawn)
    sent = (width or row.native_width, height or row.native_height)
    for one, other in zip(drawn, sent, strict=True):
        assert one % row.multiple == 0
        assert abs(one - other) < row.multiple
