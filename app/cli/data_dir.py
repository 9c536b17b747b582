"""The files by which the processes of one data directory find one another: the lock of `up`, its address and its first key."""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.cli.terminal import CommandError


@contextmanager
def locked(data_dir: Path) -> Generator[None]:
    """Holds the directory against a second `up`; the kernel lets go of it however this process ends."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "unknown"
            raise CommandError(
                f"another `darkroom up` (process {holder}) uses {data_dir}; stop it, or choose another --data-dir"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def announced(data_dir: Path, url: str) -> Generator[None]:
    """Leaves the running service's address where `darkroom generate` looks for it."""
    path = data_dir / "service.json"
    write_private(path, json.dumps({"url": url, "pid": os.getpid()}))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def service_url(data_dir: Path) -> str:
    """The address of the service that runs on this data directory."""
    try:
        return json.loads((data_dir / "service.json").read_text())["url"]
    except FileNotFoundError:
        raise CommandError(f"no service runs on {data_dir}; start one with `darkroom up`, or give --url") from None


def local_key(data_dir: Path) -> str | None:
    """The key that `up` made for this machine's own use, if it has made one."""
    with suppress(FileNotFoundError):
        return (data_dir / "local-key").read_text().strip()
    return None


def keep_local_key(data_dir: Path, key: str) -> None:
    write_private(data_dir / "local-key", key + "\n")


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
