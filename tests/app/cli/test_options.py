"""What a person may write as an amount or a size, and what it means."""

import pytest
import typer

from app.cli.options import Size, parse_credits, parse_size, show_credits


@pytest.mark.parametrize(
    ("text", "micro"),
    [("0", 0), ("1", 1_000_000), ("0.1", 100_000), ("2.5", 2_500_000), ("0.0000014", 1), ("1e3", 10**9)],
)
def test_credits_are_rounded_to_micro_credits(text: str, micro: int) -> None:
    assert parse_credits(text) == micro


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "ten", "", "1e30"])
def test_an_amount_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_credits(text)


@pytest.mark.parametrize(("micro", "text"), [(0, "0"), (1, "0.000001"), (100_000, "0.1"), (10_000_000_000, "10,000")])
def test_credits_are_shown_exactly(micro: int, text: str) -> None:
    assert show_credits(micro) == text


@pytest.mark.parametrize(
    ("text", "size"), [("128", Size(128, 128)), ("256x192", Size(256, 192)), ("64X96", Size(64, 96))]
)
def test_a_size_is_a_pair_or_a_square(text: str, size: Size) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "64x", "64.5", "64x64x64", "-64", "64x1234567"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_size(text)
