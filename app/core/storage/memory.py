"""Objects in a dictionary, for tests and demonstrations."""

from collections.abc import AsyncIterator
from typing import BinaryIO

from app.core.storage.base import ObjectMissing, OpenObject, checked_key


class MemoryObjectStore:
    """An ObjectStore that lives as long as its process."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        self.objects[checked_key(key)] = bytes(data)

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        file.seek(0)
        await self.put(key, file.read(), content_type)

    async def copy(self, source: str, target: str) -> None:
        self.objects[checked_key(target)] = await self.get(source)

    async def get(self, key: str) -> bytes:
        try:
            return self.objects[checked_key(key)]
        except KeyError:
            raise ObjectMissing(key) from None

    async def open(self, key: str) -> OpenObject:
        data = await self.get(key)
        return OpenObject(len(data), lambda start, stop: _once(data[start:stop]))

    async def delete(self, key: str) -> None:
        self.objects.pop(checked_key(key), None)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
