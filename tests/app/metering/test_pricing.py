"""Prices: whole micro-credits, monotone, BFL's own numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.metering.price_book import MEBIPIXEL, PRICE_BOOK, FirstMegapixel, Flat, Rule
from app.metering.pricing import charge_micro, credits_number

micros = st.integers(0, 10**9)
pixels = st.integers(1, 1 << 26)
rules = st.one_of(
    st.builds(Flat, micros),
    st.builds(
        FirstMegapixel, micros, micros, micros, st.sampled_from(["ceil", "exact"]), st.sampled_from([MEBIPIXEL, 10**6])
    ),
)


@given(rules, pixels, pixels, pixels, pixels)
def test_more_pixels_never_cost_less(rule: Rule, out_a: int, out_b: int, in_a: int, in_b: int) -> None:
    small = charge_micro(rule, min(out_a, out_b), min(in_a, in_b))
    large = charge_micro(rule, max(out_a, out_b), max(in_a, in_b))
    assert 0 <= small <= large
    assert isinstance(large, int)


@given(micros, micros, pixels)
def test_exact_rounding_never_exceeds_whole_megapixels_and_meets_them_at_each(first: int, more: int, size: int) -> None:
    exact = FirstMegapixel(first, more, more, rounding="exact")
    ceil = FirstMegapixel(first, more, more, rounding="ceil")
    assert charge_micro(exact, size) <= charge_micro(ceil, size)
    whole = -(-size // MEBIPIXEL) * MEBIPIXEL
    assert charge_micro(exact, whole) == charge_micro(ceil, whole) == charge_micro(ceil, size)


@pytest.mark.parametrize(
    ("name", "width", "height", "credits"),
    [
        ("flux-2-pro", 256, 256, 3.0),
        ("flux-2-max", 256, 256, 7.0),
        ("flux-2-pro", 1024, 1024, 3.0),
        ("flux-2-pro", 1024, 1040, 4.5),
        ("flux-2-pro", 2048, 2048, 7.5),
        ("flux-2-klein-4b", 1024, 1024, 1.4),
        ("flux-2-klein-4b", 2048, 1024, 1.5),
        ("flux-2-klein-9b", 2048, 2048, 2.1),
        ("flux-nano", 128, 128, 0.1),
    ],
)
def test_the_book_holds_the_published_prices(name: str, width: int, height: int, credits: float) -> None:
    assert credits_number(charge_micro(PRICE_BOOK.rules[name], width * height)) == credits


def test_nothing_is_free() -> None:
    assert all(charge_micro(rule, 64 * 64) > 0 for rule in PRICE_BOOK.rules.values())


@pytest.mark.parametrize("name", ["flux-2-pro", "flux-2-max", "flux-2-klein-4b"])
def test_a_reference_costs_at_least_one_megapixel(name: str) -> None:
    rule = PRICE_BOOK.rules[name]
    assert isinstance(rule, FirstMegapixel)
    assert charge_micro(rule, MEBIPIXEL, 100) - charge_micro(rule, MEBIPIXEL) == rule.input_micro
