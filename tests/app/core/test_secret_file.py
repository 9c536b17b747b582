"""secrets.json: private, complete, and the same for all who come first at the same time."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.core.config import load_settings
from app.core.errors import ConfigurationError
from app.core.secret_file import FILE_NAME, resolve_secrets


def test_the_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "new")
    first, second = resolve_secrets(settings), resolve_secrets(settings)
    assert first == second
    path = settings.data_dir / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in settings.data_dir.iterdir()] == [FILE_NAME]
    assert first.key_pepper.get_secret_value() not in repr(first)


def test_all_who_come_first_get_the_same(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: resolve_secrets(settings).url_signing_key.get_secret_value(), range(32)))
    assert len(set(found)) == 1


def test_a_secret_that_is_set_wins(tmp_path: Path) -> None:
    both = {"key_pepper": "p" * 16, "url_signing_key": "s" * 16}
    resolved = resolve_secrets(load_settings(data_dir=tmp_path, secrets=both))
    assert resolved.key_pepper.get_secret_value() == "p" * 16
    assert not (tmp_path / FILE_NAME).exists()
    one = resolve_secrets(load_settings(data_dir=tmp_path, secrets={"key_pepper": "p" * 16}))
    assert one.key_pepper == resolved.key_pepper
    assert one.pepper_id == resolved.pepper_id


def test_a_broken_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{}")
    with pytest.raises(ConfigurationError, match=FILE_NAME):
        resolve_secrets(load_settings(data_dir=tmp_path))
