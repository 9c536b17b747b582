"""The price book is complete and says nothing about names that do not exist."""

from app.core.catalog import CATALOG
from app.metering.price_book import PRICE_BOOK


def test_every_public_name_has_a_price_and_nothing_else_does() -> None:
    assert set(PRICE_BOOK.rules) == {row.name for row in CATALOG}
