"""Objects as files under one directory. File work runs in threads, so an event loop never waits on a disk."""

import asyncio
import io
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from app.core.storage.base import CHUNK_BYTES, ObjectMissing, OpenObject, checked_key

FOLDER_TRIES = 5
"""A folder may be removed as empty by another thread before the first file is in it."""


class LocalObjectStore:
    """An ObjectStore in a folder, made at the first put."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        await self.put_file(key, io.BytesIO(data), content_type)

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        path = self._path(key)
        await asyncio.to_thread(_in_folder, path.parent, lambda: _write(path, file))

    async def copy(self, source: str, target: str) -> None:
        """A second name for the same file, which nobody ever changes: a put replaces the name, not the bytes."""
        await asyncio.to_thread(_copy, self._path(source), self._path(target))

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
        return OpenObject(found.st_size, lambda start, stop: _chunks(self._path(key), start, stop))

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


def _in_folder(folder: Path, act: Callable[[], None]) -> None:
    """Do it with the folder there. Somebody else may remove it, empty, at any moment: even while it is being made, which then says
    that it exists."""
    for is_last in (*[False] * (FOLDER_TRIES - 1), True):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            act()
        except (FileNotFoundError, FileExistsError):
            if is_last:
                raise
        else:
            return


def _write(path: Path, source: BinaryIO) -> None:
    """Write beside the target, flush to the disk, rename: readers and power cuts see the whole object or none."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        source.seek(0)
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(source, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _copy(source: Path, target: Path) -> None:
    """Link, or copy where the disk knows no links. Raises ObjectMissing."""
    try:
        with source.open("rb") as file:
            _in_folder(target.parent, lambda: _link(source, target, file))
    except FileNotFoundError:
        raise ObjectMissing(source.name) from None
    _sync_folder(target.parent)


def _link(source: Path, target: Path, file: BinaryIO) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        _write(target, file)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def _chunks(path: Path, start: int, stop: int) -> AsyncIterator[bytes]:
    """Opens the file when the first piece is asked for: an answer without a body (HEAD) leaves nothing open."""
    with await asyncio.to_thread(path.open, "rb") as file:
        file.seek(start)
        left = stop - start
        while left > 0 and (chunk := await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
