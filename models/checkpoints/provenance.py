"""darkroom.json: where a folder's files came from, and what they held when they were hashed. Written by models.importing."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from models.checkpoints.config import read_object

PROVENANCE = "darkroom.json"
FINGERPRINTED_SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model")


@dataclass(frozen=True)
class Recorded:
    """One file as it was when it was hashed."""

    size: int
    mtime_ns: int
    sha256: str


def recorded(folder: Path) -> dict[str, Recorded]:
    """What the folder's record says of its files, by path relative to the folder; empty where there is no such record.

    Raises:
        MalformedConfig: darkroom.json is no JSON object.
    """
    if not (folder / PROVENANCE).is_file():
        return {}
    files = read_object(folder / PROVENANCE).get("files")
    entries = cast(dict[str, object], files) if isinstance(files, dict) else {}
    found = {name: _one(entry) for name, entry in entries.items()}
    return {name: one for name, one in found.items() if one is not None}


def _one(entry: object) -> Recorded | None:
    fields = cast(dict[str, object], entry) if isinstance(entry, dict) else {}
    size, mtime_ns, sha256 = fields.get("size"), fields.get("mtime_ns"), fields.get("sha256")
    if isinstance(size, int) and isinstance(mtime_ns, int) and isinstance(sha256, str):
        return Recorded(size, mtime_ns, sha256)
    return None


def write_provenance(folder: Path, files: Mapping[str, Recorded], facts: Mapping[str, object]) -> None:
    """Write the record: what is known of the folder as a whole, and its files."""
    record = {**facts, "files": {name: asdict(files[name]) for name in sorted(files)}}
    (folder / PROVENANCE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def record_of(path: Path, sha256: str) -> Recorded:
    """A file's record as it is now."""
    stat = path.stat()
    return Recorded(stat.st_size, stat.st_mtime_ns, sha256)


def sha256_of(path: Path) -> str:
    """Of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path) -> str:
    """First 16 hex digits of a sha256 over names and contents of all files that decide what a folder draws.

    A file whose size and time of change are those that the import wrote down is not read again: a start does not hash 24 GB.
    """
    known, digest = recorded(folder), hashlib.sha256()
    for path in fingerprinted(folder):
        name = path.relative_to(folder).as_posix()
        record = known.get(name)
        is_known = record is not None and record == record_of(path, record.sha256)
        content = record.sha256 if record is not None and is_known else sha256_of(path)
        digest.update(f"{name}\0{content}\n".encode())
    if (folder / PROVENANCE).is_file() and isinstance(like := read_object(folder / PROVENANCE).get("like"), str):
        digest.update(f"like\0{like}\n".encode())
    return digest.hexdigest()[:16]


def fingerprinted(folder: Path) -> Iterator[Path]:
    """The files that decide what a folder draws, in order."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in FINGERPRINTED_SUFFIXES and path.name != PROVENANCE and path.is_file():
            yield path
