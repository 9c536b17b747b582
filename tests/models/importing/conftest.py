"""Tiny folders to import from, made once, and a place to import into."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from models.importing.assembly import import_weights
from models.importing.request import Request
from tests.fixtures.tiny_models import tiny_flux1_folder, tiny_klein_folder


@dataclass
class Said:
    """Remembers what an import says."""

    stages: list[str] = field(default_factory=list[str])

    def begin(self, what: str, num_bytes: int | None) -> None:
        self.stages.append(what)


Import = Callable[..., Path]


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_flux1_folder(tmp_path_factory.mktemp("dev") / "dev", seed=1)


@pytest.fixture(scope="session")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_klein_folder(tmp_path_factory.mktemp("klein") / "klein", seed=1)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def bring(into: Path, tmp_path: Path, said: Said) -> Import:
    """Imports a source as `mine`."""

    def run(source: Path | str, like: str | None = "flux-dev", name: str = "mine", **options: Any) -> Path:
        return import_weights(Request(str(source), name, into, like, hub=tmp_path / "hub", **options), said)

    return run
