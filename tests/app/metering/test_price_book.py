"""The shipped book: complete, and Black Forest Labs' numbers to the tenth of a credit."""

import pytest

from app.core.catalog import CATALOG
from app.metering.price_book import PRICE_BOOK, micro_of
from app.metering.rules import Flat, lines_of, total_micro

SIZES = ((256, 256), (1024, 1024), (1920, 1080), (2048, 2048))
MEGAPIXELS = (1, 1, 2, 4)
"""Of 1024 x 1024 pixels, begun ones in full."""
REFERENCES = (0, 1, 3)

FLAT = {
    "flux-pro-1.1": "4", "flux-pro-1.1-ultra": "6", "flux-kontext-pro": "4", "flux-kontext-max": "8",
    "flux-pro-1.0-fill": "5", "flux-pro-1.0-expand": "5", "flux-pro-1.0-canny": "5", "flux-pro-1.0-depth": "5",
    "flux-pro": "5", "flux-dev": "2.5",
}  # fmt: skip
BY_MEGAPIXEL = {
    "flux-2-klein-4b": ("1.4", "0.1"), "flux-2-klein-9b": ("1.5", "0.2"), "flux-2-klein-9b-preview": ("1.5", "0.2"),
    "flux-2-pro": ("3", "1.5"), "flux-2-pro-preview": ("3", "1.5"), "flux-2-max": ("7", "3"), "flux-2-flex": ("6", "6"),
}  # fmt: skip
BFLS = {*FLAT, *BY_MEGAPIXEL}


def cost(name: str, size: tuple[int, int], num_references: int, steps: int = 28) -> int:
    return total_micro(lines_of(PRICE_BOOK.rules[name], size, steps, [size] * num_references))


def test_every_public_name_has_a_price_and_nothing_else_does() -> None:
    assert set(PRICE_BOOK.rules) == {row.name for row in CATALOG}


@pytest.mark.parametrize("name", FLAT)
def test_flat_prices_are_the_published_ones(name: str) -> None:
    assert {cost(name, size, count) for size in SIZES for count in REFERENCES} == {micro_of(FLAT[name])}


@pytest.mark.parametrize("name", BY_MEGAPIXEL)
def test_prices_by_megapixel_are_the_published_ones(name: str) -> None:
    """First + further x (output - 1) + further x input; each reference counts one megapixel at least, all of them eight at most."""
    first, further = (micro_of(credits) for credits in BY_MEGAPIXEL[name])
    for size, megapixels in zip(SIZES, MEGAPIXELS, strict=True):
        for count in REFERENCES:
            expected = first + further * (megapixels - 1) + further * min(8, count * megapixels)
            assert cost(name, size, count) == expected, (size, count)


def test_the_recorded_answers_of_bfl_are_met() -> None:
    assert cost("flux-2-pro", (256, 256), 0) == micro_of("3")
    assert cost("flux-2-max", (256, 256), 0) == micro_of("7")


@pytest.mark.parametrize("name", sorted(BFLS))
def test_steps_cost_nothing_where_bfl_charges_nothing_for_them(name: str) -> None:
    assert PRICE_BOOK.rules[name].included_steps is None


@pytest.mark.parametrize("row", [row for row in CATALOG if row.name not in BFLS], ids=lambda row: row.name)
def test_our_own_names_cost_their_price_at_their_own_steps_and_more_beyond(row) -> None:
    rule = PRICE_BOOK.rules[row.name]
    assert not isinstance(rule, Flat)
    assert rule.included_steps == row.steps.default
    native = row.native_width, row.native_height
    assert 0 < cost(row.name, native, 0, row.steps.default) < cost(row.name, native, 0, row.steps.default + 1)
