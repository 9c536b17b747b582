"""The revision of a folder, with and without the record that an import leaves."""

import os
from pathlib import Path

import pytest

from models.checkpoints.provenance import (
    Recorded,
    fingerprint,
    fingerprinted,
    record_of,
    recorded,
    sha256_of,
    write_provenance,
)
from models.errors import MalformedConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text("{}")
    (tmp_path / "vae" / "weights.safetensors").write_bytes(b"numbers")
    return tmp_path


def record(folder: Path, **facts: object) -> None:
    files = {path.relative_to(folder).as_posix(): record_of(path, sha256_of(path)) for path in fingerprinted(folder)}
    write_provenance(folder, files, facts)


def test_a_record_changes_no_revision(folder: Path) -> None:
    before = fingerprint(folder)
    record(folder, source="somewhere")
    assert fingerprint(folder) == before
    assert recorded(folder).keys() == {"vae/config.json", "vae/weights.safetensors"}


def test_a_recorded_file_is_not_read_again_until_it_changes(folder: Path) -> None:
    record(folder)
    before, path = fingerprint(folder), folder / "vae" / "weights.safetensors"
    stat = path.stat()
    path.write_bytes(b"NUMBERS")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert fingerprint(folder) == before, "size and time agree, so the content was not looked at"
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert fingerprint(folder) != before
    path.write_bytes(b"numbers!")
    assert fingerprint(folder) != before


def test_what_a_network_is_like_is_part_of_its_revision(folder: Path) -> None:
    record(folder, like="flux-dev")
    one = fingerprint(folder)
    record(folder, like="flux-kontext-dev")
    assert fingerprint(folder) != one


def test_a_record_that_makes_no_sense_is_no_record(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "darkroom.json").write_text('{"files": {"vae/config.json": {"size": "2"}, "x": 1}}')
    assert recorded(folder) == {}
    assert fingerprint(folder) == before
    (folder / "darkroom.json").write_text("[]")
    with pytest.raises(MalformedConfig):
        fingerprint(folder)


def test_a_file_is_recorded_as_it_is(folder: Path) -> None:
    path = folder / "vae" / "weights.safetensors"
    assert record_of(path, "00") == Recorded(7, path.stat().st_mtime_ns, "00")
    assert sha256_of(path) == "f3c7807d475073ba009bf4801b2d934e9f0126cb96dd19a27dbffcae23a7f5a3"
