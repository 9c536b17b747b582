"""`darkroom models import` and `list`: names, licences, the operator's rows, and the child process that does the work."""

import json
import re
from pathlib import Path

import pytest

from app.cli.imports import installable, trained_to_pure_noise
from app.cli.networks import revisions_on_disk
from app.cli.terminal import CommandError
from app.core.catalog import CATALOG, CatalogRow
from app.core.config import Settings
from app.core.licences import FLUX1_NON_COMMERCIAL
from app.core.operator_rows import OperatorRow, add_operator_row, operator_rows
from tests.fixtures.command_line import Run

BUNDLED = Path(__file__).parents[3] / "models" / "bundled" / "flux-nano"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize("row", [row for row in CATALOG if row.network is not None], ids=lambda row: row.name)
def test_every_network_of_the_catalogue_can_be_imported_under_its_licence(settings: Settings, row: CatalogRow) -> None:
    assert row.network is not None
    made = installable(settings, row.network, None)
    assert (made.folder, made.like, made.licence, made.row) == (row.network, None, row.licence, None)


def test_the_network_of_image_prompts_can_be_imported_although_it_has_no_route(settings: Settings) -> None:
    assert installable(settings, "flux-redux-dev", None).licence == FLUX1_NON_COMMERCIAL


def test_names_without_weights_and_names_of_nothing_are_refused(settings: Settings) -> None:
    with pytest.raises(CommandError, match="has no public weights"):
        installable(settings, "flux-2-pro", None)
    with pytest.raises(CommandError, match=r"no model 'flux-3'; known are .*flux-redux-dev"):
        installable(settings, "flux-3", None)


def test_weights_like_those_of_the_operator_follow_the_shipped_network_behind_them(settings: Settings) -> None:
    add_operator_row(settings.data_dir, OperatorRow("mine", "flux-dev"))
    made = installable(settings, "second", "mine")
    assert (made.like, made.licence, made.row) == ("flux-dev", FLUX1_NON_COMMERCIAL, OperatorRow("second", "mine"))
    again = installable(settings, "mine", None)
    assert (again.like, again.row) == ("flux-dev", OperatorRow("mine", "flux-dev"))


@pytest.mark.parametrize(("schedule", "expected"), [({}, False), ({"rescale_betas_zero_snr": True}, True)])
def test_a_folder_says_whether_training_ended_with_pure_noise(
    tmp_path: Path, schedule: dict[str, bool], expected: bool
) -> None:
    assert not trained_to_pure_noise(tmp_path)
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(schedule))
    assert trained_to_pure_noise(tmp_path) == expected


def test_weights_of_ones_own_are_installed_and_listed(darkroom: Run, tmp_path: Path) -> None:
    made = darkroom("models", "import", str(BUNDLED), "--as", "mine", "--like", "flux-nano")
    assert made.exit_code == 0
    assert operator_rows(tmp_path) == (OperatorRow("mine", "flux-nano"),)
    revision = revisions_on_disk(tmp_path / "models")["mine"]
    assert re.fullmatch("[0-9a-f]{16}", revision)
    listed = darkroom("models", "list").out
    assert re.search(rf"mine +mine +\(folder, no worker\) +{revision} +128x128 +Apache-2.0", listed)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]


def test_a_licence_is_shown_and_must_be_accepted(darkroom: Run, tmp_path: Path) -> None:
    refused = darkroom("models", "import", str(BUNDLED), "--as", "flux-2-klein-9b")
    assert refused.exit_code == 1
    assert "under FLUX Non-Commercial (https://" in refused.err
    assert refused.err.splitlines()[-1].startswith("darkroom: flux-2-klein-9b is imported only with --accept-licence")
    assert not (tmp_path / "models").exists()


@pytest.mark.prove
def test_what_the_child_refuses_ends_the_command_and_adds_no_row(darkroom: Run, tmp_path: Path) -> None:
    refused = darkroom("models", "import", str(tmp_path / "missing"), "--as", "mine", "--like", "flux-nano")
    assert refused.exit_code == 1
    assert operator_rows(tmp_path) == ()


def test_a_folder_that_was_put_there_by_hand_is_listed(darkroom: Run, tmp_path: Path) -> None:
    (tmp_path / "models" / "by-hand").mkdir(parents=True)
    (tmp_path / "models" / "by-hand" / "model_index.json").write_text("{}")
    (tmp_path / "models" / "no-network").mkdir()
    listed = darkroom("models", "list").out
    assert re.search(r"- +by-hand +\(folder, no worker\) +- ", listed)
    assert "no-network" not in listed
    assert "FLUX.1 [dev] Non-Commercial" in listed
    assert "content filters" in listed
