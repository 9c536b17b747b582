"""The catalogue: rows that make sense, aliases, and the sizes that an alias accepts."""

import pytest

from app.core.catalog import CATALOG, Catalog
from app.core.catalog_row import CatalogRow
from app.core.errors import ConfigurationError, NotFound


@pytest.mark.parametrize("row", CATALOG, ids=[row.name for row in CATALOG])
def test_a_row_accepts_its_own_defaults(row: CatalogRow) -> None:
    assert row.accepts(row.native_width, row.native_height)
    assert row.native_width % row.size.multiple == row.native_height % row.size.multiple == 0
    assert row.steps.min <= row.steps.default <= row.steps.max
    assert row.guidance.min <= row.guidance.default <= row.guidance.max


def test_names_are_unique() -> None:
    assert len({row.name for row in CATALOG}) == len(CATALOG)


@pytest.mark.parametrize(
    ("width", "height", "accepted"), [(64, 384, True), (63, 128, False), (128, 385, False), (384, 384, True)]
)
def test_nano_takes_64_to_384(width: int, height: int, accepted: bool) -> None:
    assert Catalog().by_name("flux-nano").accepts(width, height) is accepted


def test_a_side_within_bounds_can_still_be_too_many_pixels() -> None:
    row = Catalog().by_name("flux-2-pro")
    assert row.accepts(2048, 2048)
    assert not row.accepts(2048, 2064)


def test_an_alias_keeps_the_public_row_and_runs_the_others_network() -> None:
    resolved = Catalog(aliases={"flux-2-pro": "flux-nano"}).resolve("flux-2-pro")
    assert (resolved.row.name, resolved.runs.name, resolved.network) == ("flux-2-pro", "flux-nano", "flux-nano")
    assert resolved.accepts(64, 64)
    assert resolved.accepts(1024, 1024)
    assert not resolved.accepts(63, 128)


def test_a_name_without_weights_has_no_network() -> None:
    assert Catalog().resolve("flux-2-max").network is None


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(NotFound):
        Catalog().resolve("flux-3")


@pytest.mark.parametrize("aliases", [{"flux-3": "flux-nano"}, {"flux-2-pro": "flux-3"}, {"flux-nano": "flux-2-max"}])
def test_an_alias_of_nothing_or_to_nothing_stops_the_start(aliases: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="alias"):
        Catalog(aliases=aliases)
