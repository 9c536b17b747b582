"""Objects as files under one directory. File work runs in threads, so an event loop never waits on a disk."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from app.core.storage.base import CHUNK_BYTES, ObjectMissing, OpenObject, checked_key


class LocalObjectStore:
    """An ObjectStore in a folder, made at the first put."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        await asyncio.to_thread(_write, self._path(key), data)

    async def get(self, key: str) -> bytes:
        try:
            return await asyncio.to_thread(self._path(key).read_bytes)
        except FileNotFoundError:
            raise ObjectMissing(key) from None

    async def open(self, key: str) -> OpenObject:
        try:
            found = await asyncio.to_thread(self._path(key).stat)
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        return OpenObject(found.st_size, _chunks(self._path(key)))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._remove, self._path(key))

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*checked_key(key).split("/"))

    def _remove(self, path: Path) -> None:
        """Remove the file, and the folder that held nothing else."""
        path.unlink(missing_ok=True)
        if path.parent != self._root:
            with suppress(OSError):  # not empty, or already gone
                path.parent.rmdir()


def _write(path: Path, data: bytes) -> None:
    """Write beside the target, flush to the disk, rename: readers and power cuts see the whole object or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    """Opens the file when the first piece is asked for: an answer without a body (HEAD) leaves nothing open."""
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
