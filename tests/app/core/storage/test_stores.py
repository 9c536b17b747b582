"""Object stores: one contract, every implementation."""

import errno
import io
import os
from pathlib import Path

import anyio
import pytest

from app.core.storage.base import InvalidKey, ObjectMissing, ObjectStore
from app.core.storage.local import LocalObjectStore
from app.core.storage.memory import MemoryObjectStore
from app.core.storage.s3 import S3ObjectStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    match request.param:
        case "local":
            return LocalObjectStore(tmp_path / "objects")
        case "memory":
            return MemoryObjectStore()
        case _:
            return S3ObjectStore(request.getfixturevalue("bucket"))


async def test_what_was_put_comes_back_whole_and_in_pieces(store: ObjectStore) -> None:
    data = bytes(range(256)) * 1000
    await store.put("results/a/1.png", data, "image/png")
    assert await store.get("results/a/1.png") == data
    opened = await store.open("results/a/1.png")
    assert opened.num_bytes == len(data)
    assert b"".join([chunk async for chunk in opened.chunks]) == data


async def test_a_second_put_replaces_the_first(store: ObjectStore) -> None:
    await store.put("a", b"one", "image/png")
    await store.put("a", b"two", "image/png")
    assert await store.get("a") == b"two"


async def test_what_is_not_there_is_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        await store.get("a/b")
    with pytest.raises(ObjectMissing):
        await store.open("a/b")


async def test_a_deleted_object_is_gone_and_deleting_again_is_no_error(store: ObjectStore) -> None:
    await store.put("a/b", b"x", "image/png")
    await store.delete("a/b")
    await store.delete("a/b")
    with pytest.raises(ObjectMissing):
        await store.get("a/b")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a\0b", "é", "a" * 600]
)
async def test_a_key_cannot_leave_the_store(store: ObjectStore, key: str) -> None:
    for attempt in (store.put(key, b"x", "image/png"), store.get(key), store.open(key), store.delete(key)):
        with pytest.raises(InvalidKey):
            await attempt


async def test_local_writes_leave_nothing_else_behind(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path)
    await store.put("results/a/1.png", b"x", "image/png")
    assert [path.name for path in (tmp_path / "results/a").iterdir()] == ["1.png"]
    await store.delete("results/a/1.png")
    assert list((tmp_path / "results").iterdir()) == []


async def test_a_failed_write_keeps_the_old_object(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path)
    await store.put("a/b", b"old", "image/png")
    await anyio.Path(tmp_path / "a" / "c").mkdir()
    with pytest.raises(OSError, match="directory"):
        await store.put("a/c", b"new", "image/png")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b", "c"]
    assert await store.get("a/b") == b"old"


async def test_a_part_is_that_part(store: ObjectStore) -> None:
    data = bytes(range(256)) * 1000
    await store.put("a/b", data, "image/png")
    opened = await store.open("a/b")
    for start, stop in ((0, 100), (0, 1), (99, 100), (70_000, 140_001), (len(data) - 1, len(data)), (5, 5)):
        assert b"".join([chunk async for chunk in opened.read(start, stop)]) == data[start:stop]


async def test_what_a_file_holds_is_put_from_its_start(store: ObjectStore) -> None:
    file = io.BytesIO(bytes(range(256)) * 1000)
    file.seek(77)
    await store.put_file("a/b", file, "image/png")
    assert await store.get("a/b") == file.getvalue()


async def test_a_copy_outlives_what_it_was_made_of_and_does_not_change_with_it(store: ObjectStore) -> None:
    await store.put("files/ab/one", b"one", "image/png")
    for target in ("inputs/cd/two", "inputs/cd/three"):
        await store.copy("files/ab/one", target)
    await store.put("files/ab/one", b"changed", "image/png")
    assert await store.get("inputs/cd/two") == b"one"
    await store.delete("files/ab/one")
    await store.delete("inputs/cd/two")
    assert await store.get("inputs/cd/three") == b"one"
    with pytest.raises(ObjectMissing):
        await store.copy("files/ab/one", "inputs/cd/four")
    with pytest.raises(ObjectMissing):
        await store.open("inputs/cd/four")


async def test_a_disk_without_links_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    store = LocalObjectStore(tmp_path)
    await store.put("a", b"one", "image/png")
    await store.copy("a", "b/c")
    assert await store.get("b/c") == b"one"


async def test_a_folder_that_goes_as_empty_is_made_again(tmp_path: Path) -> None:
    """Tasks that begin and end at the same moment share folders by the beginning of a digest."""
    store = LocalObjectStore(tmp_path)
    for _ in range(40):
        await store.put("inputs/ab/one", b"x", "image/png")
        async with anyio.create_task_group() as group:
            group.start_soon(store.delete, "inputs/ab/one")
            group.start_soon(store.put, "inputs/ab/two", b"y", "image/png")
        assert await store.get("inputs/ab/two") == b"y"
        await store.delete("inputs/ab/two")
