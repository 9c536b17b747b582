"""Every row says what its weights' licence asks, and rows with public weights have a licence that is one."""

import pytest

from app.core.catalog import CATALOG
from app.core.catalog_row import CatalogRow
from app.core.licences import APACHE, CLOSED, OPENRAIL, OPENRAIL_PLUS_PLUS, UNKNOWN


@pytest.mark.parametrize("row", CATALOG, ids=lambda row: row.name)
def test_weights_that_are_public_have_a_licence(row: CatalogRow) -> None:
    assert (row.licence == CLOSED) is (row.network is None)
    assert row.licence != UNKNOWN
    assert row.licence.note


def test_what_may_be_hosted_freely_is_what_its_publisher_says() -> None:
    free = {row.name for row in CATALOG if row.licence == APACHE}
    assert free == {"flux-nano", "flux-schnell", "flux-2-klein-4b", "flux-2-klein-4b-base"}
    assert all(row.licence.needs_acceptance for row in CATALOG if row.network is not None and row.name not in free)


def test_a_licence_that_must_be_accepted_says_what_and_where() -> None:
    for licence in {row.licence for row in CATALOG if row.licence.needs_acceptance}:
        assert licence.url.startswith("https://")
        assert licence.allows_commercial_use is ("non-commercial" not in licence.note)
        assert licence.allows_commercial_use is (licence in (OPENRAIL, OPENRAIL_PLUS_PLUS))
        assert str(licence) == licence.name
