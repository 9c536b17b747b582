"""Objects as files under one directory. File work runs in threads, so an event loop never waits on a disk."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

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
            file, num_bytes = await asyncio.to_thread(_open, self._path(key))
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        return OpenObject(num_bytes, _chunks(file))

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


def _open(path: Path) -> tuple[BinaryIO, int]:
    file = path.open("rb")
    return file, os.fstat(file.fileno()).st_size


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
