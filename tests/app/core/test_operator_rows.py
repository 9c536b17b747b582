"""The operator's own rows: what they are made of, what is refused, and that no route of the gateway is hidden by one."""

import json
import re
from pathlib import Path

import pytest

from app.core.catalog import CATALOG
from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.operator_rows import (
    NAME,
    RESERVED,
    OperatorRow,
    add_operator_row,
    checked_row,
    load_catalog,
    operator_rows,
)
from app.main import create_app
from app.metering.price_file import load_price_book

OURS = OperatorRow("my-klein", "flux-2-klein-4b")


def test_a_row_is_written_and_read_again_and_replaced_by_name(tmp_path: Path) -> None:
    assert operator_rows(tmp_path) == ()
    add_operator_row(tmp_path, OURS)
    add_operator_row(tmp_path, OperatorRow("other", "flux-nano"))
    add_operator_row(tmp_path, OperatorRow("my-klein", "flux-dev"))
    assert operator_rows(tmp_path) == (OperatorRow("other", "flux-nano"), OperatorRow("my-klein", "flux-dev"))
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.json"]


def test_the_row_has_everything_of_the_one_that_it_is_like_but_name_and_weights(tmp_path: Path) -> None:
    add_operator_row(tmp_path, OURS)
    catalog = load_catalog(Settings(data_dir=tmp_path, aliases={"flux-2-pro": "my-klein"}))
    row, like = catalog.by_name("my-klein"), catalog.by_name("flux-2-klein-4b")
    assert (row.network, row.size, row.licence, row.body) == ("my-klein", like.size, like.licence, like.body)
    assert catalog.resolve("flux-2-pro").network == "my-klein"


def test_a_row_remembers_that_its_weights_were_trained_down_to_pure_noise(tmp_path: Path) -> None:
    """Not every sampler fits those."""
    for row in (OperatorRow("mine", "sdxl", from_pure_noise=True), OperatorRow("second", "mine")):
        add_operator_row(tmp_path, row)
    catalog = load_catalog(Settings(data_dir=tmp_path))
    assert catalog.by_name("mine").trajectory == "diffusion_from_pure_noise"
    assert (tmp_path / "catalog.json").read_text().count("from_pure_noise") == 1


def test_a_row_may_be_like_another_of_the_operators_and_costs_the_same(tmp_path: Path) -> None:
    for row in (OURS, OperatorRow("mine-too", "my-klein")):
        add_operator_row(tmp_path, row)
    names = [row.name for row in load_catalog(Settings(data_dir=tmp_path)).rows]
    book = load_price_book(None, names, {row.name: row.like for row in operator_rows(tmp_path)})
    assert book.rules["mine-too"] == book.rules["my-klein"] == book.rules["flux-2-klein-4b"]
    with pytest.raises(ConfigurationError, match="no price for mine-too, my-klein"):
        load_price_book(None, names)


def test_an_operators_price_goes_before_that_of_the_row(tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"version": "1", "models": {"my-klein": {"image": "0.5"}}}))
    names, likes = [*(row.name for row in CATALOG), "my-klein"], {"my-klein": "flux-2-klein-4b"}
    book = load_price_book(prices, names, likes)
    assert book.rules["my-klein"] != book.rules["flux-2-klein-4b"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (OperatorRow("flux-dev", "flux-nano"), "is in the catalogue already"),
        (OperatorRow("My Model", "flux-nano"), "cannot be a model's name"),
        (OperatorRow("../x", "flux-nano"), "cannot be a model's name"),
        (OperatorRow("", "flux-nano"), "cannot be a model's name"),
        (OperatorRow("credits", "flux-nano"), "cannot be a model's name"),
        (OperatorRow("mine", "flux-3"), "which is no model; known"),
        (OperatorRow("mine", "flux-2-pro"), "which has no weights"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(row: OperatorRow, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        checked_row(row, CATALOG)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2, "rows": []}', '{"version": 1, "rows": [{"name": "A B", "like": "x"}]}']
)
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "catalog.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"catalog\.json"):
        operator_rows(tmp_path)


def test_no_route_can_be_hidden_by_a_row(tmp_path: Path) -> None:
    add_operator_row(tmp_path, OURS)
    paths = create_app(Settings(data_dir=tmp_path)).openapi()["paths"]
    names = {match[1] for path in paths if (match := re.match(r"/v1/([^/{]+)", path))}
    assert "my-klein" in names
    free = names - {row.name for row in CATALOG} - {"my-klein"}
    assert {name for name in free if NAME.fullmatch(name)} <= RESERVED
