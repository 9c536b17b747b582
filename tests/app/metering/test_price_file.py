"""An operator's prices: over the shipped ones, exact to the micro-credit, and refused with entry, value and limit."""

import json
from pathlib import Path

import pytest

from app.core.catalog import CATALOG
from app.core.errors import ConfigurationError
from app.metering.price_book import PRICE_BOOK
from app.metering.price_file import load_price_book
from app.metering.rules import ByMegapixel, Flat

NAMES = frozenset(row.name for row in CATALOG)

OURS = """
version = "acme-3"
rounding = "exact"
[models."flux-pro-1.1"]
image = 3.3
included_steps = 20
[models.flux-2-pro]
first = "2.000001"
further = 1
input = 0
megapixel = 1000000
rounding = "ceil"
input_total_max = "none"
"""


def written(folder: Path, text: str, name: str = "prices.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_without_a_file_the_shipped_book_stands() -> None:
    assert load_price_book(None, NAMES) == PRICE_BOOK


def test_entries_replace_shipped_ones_and_the_rest_stays(tmp_path: Path) -> None:
    book = load_price_book(written(tmp_path, OURS), NAMES)
    assert book.rules["flux-pro-1.1"] == Flat(3_300_000, 20)
    assert book.rules["flux-2-pro"] == ByMegapixel(
        2_000_001, 1_000_000, 0, "ceil", 1_000_000, input_each_max=4, input_total_max=None
    )
    assert book.rules["flux-dev"] == PRICE_BOOK.rules["flux-dev"]
    klein = book.rules["flux-2-klein-4b"]
    assert isinstance(klein, ByMegapixel)
    assert (klein.first_micro, klein.rounding) == (1_400_000, "exact")


def test_a_changed_file_is_another_version(tmp_path: Path) -> None:
    one = load_price_book(written(tmp_path, OURS), NAMES).version
    other = load_price_book(written(tmp_path, OURS.replace("3.3", "3.4")), NAMES).version
    assert one.startswith("acme-3+")
    assert one != other
    assert len(one) <= 32


def test_json_says_the_same(tmp_path: Path) -> None:
    text = json.dumps({"version": "1", "models": {"flux-dev": {"image": 0.1}}})
    assert load_price_book(written(tmp_path, text, "prices.json"), NAMES).rules["flux-dev"] == Flat(100_000)


WRONG = [
    ("[models.flux-dev]\nimage = -1", r"models\.flux-dev\.image: .*greater than or equal to 0 \(got -1\)"),
    ("[models.flux-dev]\nimage = 0.0000001", r"models\.flux-dev\.image: .*6 decimal places \(got"),
    ("[models.flux-dev]\nimage = 2000000", r"models\.flux-dev\.image: .*1000000"),
    ("[models.flux-dev]\nimage = 'cheap'", r"models\.flux-dev\.image: .*\(got cheap\)"),
    ("[models.flux-dev]\nimage = nan", r"models\.flux-dev\.image: .*finite"),
    ("[models.flux-dev]\nimage = 1\nfirst = 1", r"models\.flux-dev\.first: Extra inputs"),
    ("[models.flux-dev]\nfirst = 1\nfurther = 1", r"models\.flux-dev\.input: Field required"),
    ("[models.flux-dev]\nfirst = 1\nfurther = 1\ninput = 1\nrounding = 'up'", r"models\.flux-dev\.rounding: .*\(got up\)"),
    ("[models.flux-dev]\nimage = 1\nincluded_steps = 0", r"included_steps: .*greater than or equal to 1 \(got 0\)"),
    ("[models.flux-2-por]\nimage = 1", r"models\.flux-2-por: there is no such model; did you mean flux-2-pro\?"),
    ("[models.x", r"neither TOML nor"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_a_wrong_entry_is_named_with_its_value_and_limit(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_price_book(written(tmp_path, f'version = "1"\n{text}'), NAMES)


def test_a_file_needs_a_version_and_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="version: Field required"):
        load_price_book(written(tmp_path, ""), NAMES)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_price_book(tmp_path / "none.toml", NAMES)


def test_a_name_of_the_operators_costs_what_the_one_it_is_like_does(tmp_path: Path) -> None:
    names, likes = {*NAMES, "house", "garden"}, {"house": "flux-dev", "garden": "house"}
    book = load_price_book(None, names, likes)
    assert book.rules["garden"] == book.rules["house"] == PRICE_BOOK.rules["flux-dev"]
    own = written(tmp_path, 'version = "1"\n[models.house]\nimage = 9')
    assert load_price_book(own, names, likes).rules["garden"] == Flat(9_000_000)


def test_a_name_without_a_price_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="no price for house-style"):
        load_price_book(None, {*NAMES, "house-style"})
