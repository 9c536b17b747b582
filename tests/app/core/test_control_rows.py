"""ControlNets by name: the published ones, and the operator's that are like them."""

from pathlib import Path

import pytest

from app.cli.imports import installable
from app.cli.terminal import CommandError
from app.core.catalog import CATALOG
from app.core.config import Settings
from app.core.control_rows import CONTROL_ROWS
from app.core.errors import ConfigurationError
from app.core.licences import OPENRAIL
from app.core.operator_rows import OperatorRow, add_operator_row, load_catalog
from models.control.flux1 import Flux1ControlParams
from models.importing.controls import CONTROLS
from models.specs import SD15, SDXL

CANNY = "controlnet-canny-sd-1.5"
UNETS = {"sd-1.5": SD15, "sdxl": SDXL}


def test_imports_know_the_same_names_and_families() -> None:
    for row in CONTROL_ROWS:
        expected = UNETS.get(row.family, Flux1ControlParams(num_modes=row.num_modes))
        assert CONTROLS[row.name] == expected
    assert len(CONTROLS) == len(CONTROL_ROWS)
    assert {row.takes.control_family for row in CATALOG} - {None} == {*UNETS, "flux-1"}


def test_an_operators_own_is_of_the_family_of_what_it_is_like(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert installable(settings, CANNY, None).licence == OPENRAIL
    made = installable(settings, "mine", CANNY)
    assert (made.folder, made.like, made.licence, made.row) == ("mine", CANNY, OPENRAIL, OperatorRow("mine", CANNY))
    assert made.row is not None
    add_operator_row(tmp_path, made.row)
    again = installable(settings, "second", "mine")
    assert (again.like, again.row) == (CANNY, OperatorRow("second", CANNY))
    assert installable(settings, "mine", None).like == CANNY
    catalog = load_catalog(settings)
    assert catalog.controls["mine"].family == "sd-1.5"
    assert "mine" not in {row.name for row in catalog.rows}


@pytest.mark.parametrize("name", ["sdxl", "models", "controlnet-depth-sdxl", "Mine"])
def test_names_that_are_taken_or_none_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError):
        installable(Settings(data_dir=tmp_path), name, CANNY)


def test_a_controlnet_and_a_model_are_not_alike(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no model"):
        installable(Settings(data_dir=tmp_path), "mine", "controlnet-canny-flux-3")
    with pytest.raises(CommandError, match=f"known are .*{CANNY}"):
        installable(Settings(data_dir=tmp_path), "controlnet-canny-flux-3", None)
