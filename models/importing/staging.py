"""The folder that an import fills before anybody sees it: hidden beside its place, moved there in one step, gone when it fails.

Files that need no change are only pointed at while a folder is checked; once it is sound they are linked or copied, and hashed.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from models.checkpoints.loading import report
from models.checkpoints.provenance import Recorded, record_of
from models.importing.errors import ImportRefused

HIDDEN = ".importing"
LOCK = "lock"
BLOCK_BYTES = 4 * 2**20


@contextmanager
def staged(into: Path, name: str) -> Generator[Path]:
    """An empty folder of this name, on the same file system as `into`; whatever is still in it at the end is removed."""
    parent = into / HIDDEN
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    root = Path(tempfile.mkdtemp(dir=parent))
    try:
        with (root / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (root / name).mkdir()
            yield root / name
    finally:
        shutil.rmtree(root, ignore_errors=True)
        with suppress(OSError):  # another import is under way
            parent.rmdir()


def _sweep(parent: Path) -> None:
    """Remove what imports that were killed have left: the kernel has let go of their locks."""
    for lock in parent.glob(f"*/{LOCK}"):
        with suppress(OSError), lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


def point_at(source: Path, target: Path) -> None:
    """Have a file stand for another one until settled() makes it real."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source.resolve())


def settled(folder: Path, known: Mapping[Path, str]) -> dict[str, Recorded]:
    """Make every file of a staged folder real, by a hard link where that can be, and hash them all.

    Args:
        folder: the staged folder.
        known: sha256 of files that were hashed a moment ago, by their real path.

    Returns:
        The record of each file, by its path in the folder.
    """
    records: dict[str, Recorded] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        source = path.resolve()
        sha256 = _copied(path) if path.is_symlink() and not _linked(path) else known.get(source) or _hashed(path)
        records[path.relative_to(folder).as_posix()] = record_of(path, sha256)
    return records


def _linked(path: Path) -> bool:
    source, link = path.resolve(), path.with_name(f".{path.name}.link")
    try:
        os.link(source, link)
    except OSError:  # another file system, or one without links
        return False
    link.replace(path)
    return True


def _copied(path: Path) -> str:
    source, digest = path.resolve(), hashlib.sha256()
    path.unlink()
    with source.open("rb") as file, path.open("xb") as copy:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            copy.write(block)
            report(len(block))
    return digest.hexdigest()


def _hashed(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            report(len(block))
    return digest.hexdigest()


def published(folder: Path, target: Path, *, replace: bool) -> None:
    """Move a staged folder to its place.

    Args:
        folder: the staged folder.
        target: its place.
        replace: whether a folder that is there may go; it goes after the new one has come.

    Raises:
        ImportRefused: there is one that may not, or something that is no folder.
    """
    if not target.exists():
        folder.rename(target)
        return
    refuse_occupied(target, replace=replace)
    old = folder.parent / "replaced"
    target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        old.rename(target)
        raise


def refuse_occupied(target: Path, *, replace: bool) -> None:
    """Raise ImportRefused unless the place is free, or holds a folder that may be replaced."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ImportRefused(f"{target} is no folder; move it away first")
    if target.exists() and not replace:
        raise ImportRefused(f"{target} is there already; say --replace to put these weights in its place")
