"""Fetching an installed folder from where a fleet keeps it: once a machine, checked against one sum, moved into place in one step.

The sum is that of the folder's darkroom.json, which holds the sums of all its files: whoever names it has named every byte.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from models.checkpoints.files import UNSAFE_SUFFIXES
from models.checkpoints.folder import INDEX
from models.checkpoints.provenance import PROVENANCE, Recorded, recorded, sha256_of
from models.errors import MalformedFile, UnsafeFormat
from models.importing.errors import ImportRefused
from models.importing.places import Place, Unreachable
from models.importing.staging import published

T = TypeVar("T")

HIDDEN: Final = ".fetched"
LOCK: Final = "lock"
MAX_MANIFEST_BYTES: Final = 4 * 2**20
WAITS_S: Final = (0.0, 1.0, 4.0, 15.0)
"""Before each try at a file. What had come by then is kept."""


def fetch(name: str, sha256: str, place: Place, into: Path, waits_s: Sequence[float] = WAITS_S) -> bool:
    """Have the folder `into`/`name` hold the weights whose darkroom.json has this sum.

    Args:
        name: of the network.
        sha256: of darkroom.json, 64 hex digits.
        place: where that file and those that it lists are.
        into: folder of installed networks; processes of this machine that ask at the same time wait for the first.
        waits_s: seconds before each try at a file.

    Returns:
        Whether it was fetched now; False where it was there.

    Raises:
        ImportRefused: other weights, which did not come this way, have the name.
        MalformedFile, UnsafeFormat: the place has something else; nothing of it is kept.
        Unreachable: the place gave up; what had come is kept, and the next call goes on from there.
    """
    with _locked(into / HIDDEN / name) as own:
        folder, mark = into / name, own / LOCK
        if folder.exists():
            there = _sum_of(folder)
            if there == sha256:
                return False
            if there is None or there != mark.read_text(encoding="ascii"):
                raise ImportRefused(
                    f"{folder} holds weights that were not fetched; move it away to have others fetched"
                )
        draft = own / sha256 / name
        try:
            _fill(draft, sha256, place, waits_s)
        except (MalformedFile, UnsafeFormat):
            shutil.rmtree(draft.parent, ignore_errors=True)
            raise
        published(draft, folder, replace=True)
        mark.write_text(sha256, encoding="ascii")
        _remove_drafts(own)
        return True


@contextmanager
def _locked(own: Path) -> Generator[Path]:
    """A hidden folder of this network's, for one process at a time. The kernel lets go of it when the process ends, however it does."""
    own.mkdir(parents=True, exist_ok=True)
    with (own / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield own


def _sum_of(folder: Path) -> str | None:
    return sha256_of(folder / PROVENANCE) if (folder / PROVENANCE).is_file() else None


def _fill(draft: Path, sha256: str, place: Place, waits_s: Sequence[float]) -> None:
    draft.mkdir(parents=True, exist_ok=True)
    manifest = draft / PROVENANCE
    if _sum_of(draft) != sha256:
        manifest.write_bytes(_manifest(place, sha256, waits_s))
    for name, record in _checked(recorded(draft)).items():
        _fetch_file(place, name, record, draft / name, waits_s)


def _manifest(place: Place, sha256: str, waits_s: Sequence[float]) -> bytes:
    content = _with_tries(lambda: _read_manifest(place), waits_s)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise MalformedFile(f"{PROVENANCE} has the sha256 {found}, not {sha256}")
    try:
        json.loads(content)
    except ValueError as error:
        raise MalformedFile(f"{PROVENANCE} is no JSON: {error}") from None
    return content


def _read_manifest(place: Place) -> bytes:
    content = b""
    with place.open(PROVENANCE, 0) as opened:
        for block in opened.blocks:
            content += block
            if len(content) > MAX_MANIFEST_BYTES:
                raise MalformedFile(f"{PROVENANCE} is longer than {MAX_MANIFEST_BYTES} bytes")
    return content


def _checked(files: Mapping[str, Recorded]) -> Mapping[str, Recorded]:
    """Names lead to files inside the folder, and to none that can run code."""
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or name != path.as_posix():
            raise MalformedFile(f"{PROVENANCE} lists {name!r}, which is no file below it")
        if path.suffix in UNSAFE_SUFFIXES:
            raise UnsafeFormat(f"{name} may hold code; only safetensors are fetched")
    if INDEX not in files:
        raise MalformedFile(f"{PROVENANCE} lists no {INDEX}")
    return files


def _fetch_file(place: Place, name: str, record: Recorded, target: Path, waits_s: Sequence[float]) -> None:
    """Bring one file, or what is missing of it, and check it; one that is not what was promised is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _with_tries(lambda: _bring(place, name, record.size, target), waits_s)
    found = sha256_of(target)
    if found != record.sha256:
        target.unlink()
        raise MalformedFile(f"{name} has the sha256 {found}, not {record.sha256}")
    # The record holds the time of change, too: with it, starts need not hash the file again.
    os.utime(target, ns=(record.mtime_ns, record.mtime_ns))


def _bring(place: Place, name: str, size: int, target: Path) -> None:
    there = target.stat().st_size if target.exists() else 0
    if there == size > 0:
        return
    with place.open(name, there if there < size else 0) as opened, target.open("ab") as file:
        file.truncate(opened.start)
        for block in opened.blocks:
            file.write(block)
            if file.tell() > size:
                raise MalformedFile(f"{name} is longer than the {size} bytes that {PROVENANCE} lists")
        file.flush()
        os.fsync(file.fileno())
        if file.tell() < size:
            raise Unreachable(f"{name} ended after {file.tell()} of {size} bytes")


def _with_tries(bring: Callable[[], T], waits_s: Sequence[float]) -> T:
    """Try after each wait; raises what the last one met."""
    for wait_s in waits_s[:-1]:
        time.sleep(wait_s)
        with suppress(Unreachable):
            return bring()
    time.sleep(waits_s[-1])
    return bring()


def _remove_drafts(own: Path) -> None:
    for draft in own.iterdir():
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
