"""Image adapters by name: the published ones, and the operator's that are like them."""

from pathlib import Path

import pytest

from app.cli.imports import installable
from app.core.catalog import CATALOG
from app.core.config import Settings
from app.core.control_rows import ADAPTER_ROWS
from app.core.errors import ConfigurationError
from app.core.licences import APACHE
from app.core.operator_rows import add_operator_row, load_catalog
from models.importing.image_adapters import IMAGE_ADAPTERS
from models.specs import SD15, SDXL

BASE, UNETS = "ip-adapter-sd-1.5", {"sd-1.5": SD15, "sdxl": SDXL}


def test_imports_know_the_same_names_and_families() -> None:
    assert {row.name: UNETS[row.family] for row in ADAPTER_ROWS} == {
        name: published.unet for name, published in IMAGE_ADAPTERS.items()
    }
    default = {row.takes.image_prompter for row in CATALOG if row.takes.control_family in UNETS}
    assert default == {BASE, "ip-adapter-sdxl"}


def test_an_operators_own_is_named_beside_the_family_of_what_it_is_like(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert installable(settings, BASE, None).licence == APACHE
    made = installable(settings, "mine", BASE)
    assert made.row is not None
    add_operator_row(tmp_path, made.row)
    catalog = load_catalog(settings)
    assert "mine" in catalog.resolve("sd-1.5").beside("image adapter")
    assert "mine" not in {
        *catalog.resolve("sdxl").beside("image adapter"),
        *catalog.resolve("sd-1.5").beside("ControlNet"),
    }
    with pytest.raises(ConfigurationError, match="in the catalogue already"):
        installable(settings, "ip-adapter-sdxl", BASE)
