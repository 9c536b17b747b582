"""The files of a data directory: one `up` at a time, private keys, an address that goes with its service."""

import os
import stat
from pathlib import Path

import pytest

from app.cli import data_dir as files
from app.cli.terminal import CommandError


def test_a_directory_has_one_holder_and_names_it_to_the_next(tmp_path: Path) -> None:
    with (
        files.locked(tmp_path),
        pytest.raises(CommandError, match=f"process {os.getpid()}"),
        files.locked(tmp_path),
    ):
        pass


def test_a_directory_can_be_held_again_when_it_was_let_go(tmp_path: Path) -> None:
    for _ in range(2):
        with files.locked(tmp_path / "new"):
            assert (tmp_path / "new" / "up.lock").read_text() == str(os.getpid())


def test_the_address_is_there_while_the_service_runs_and_private(tmp_path: Path) -> None:
    with files.announced(tmp_path, "http://127.0.0.1:8123"):
        assert files.service_url(tmp_path) == "http://127.0.0.1:8123"
        assert stat.S_IMODE((tmp_path / "service.json").stat().st_mode) == 0o600
    with pytest.raises(CommandError, match="no service runs"):
        files.service_url(tmp_path)


def test_the_local_key_is_kept_private(tmp_path: Path) -> None:
    assert files.local_key(tmp_path) is None
    files.keep_local_key(tmp_path, "dk_live_x")
    assert files.local_key(tmp_path) == "dk_live_x"
    assert [path.name for path in tmp_path.iterdir()] == ["local-key"]
    assert stat.S_IMODE((tmp_path / "local-key").stat().st_mode) == 0o600
