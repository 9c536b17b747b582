"""What an object store does, and which keys it takes."""

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
MAX_KEY_CHARS = 512

CHUNK_BYTES = 1 << 16

CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
"""Content type by output format, which is also the extension of a result's key and URL."""


class ObjectMissing(LookupError):
    """There is no object under this key."""


class StoreDown(OSError):
    """The store does not answer, or refuses what is asked of it; the message says which object, and no secret."""


class InvalidKey(ValueError):
    """A key outside the alphabet, or one that could climb out of the store."""


@dataclass(frozen=True)
class OpenObject:
    """An object to read: its size, and `read(start, stop)`, its bytes from the one to before the other, piece by piece."""

    num_bytes: int
    read: Callable[[int, int], AsyncIterator[bytes]]

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """All of it."""
        return self.read(0, self.num_bytes)


class ObjectStore(Protocol):
    """Bytes under keys. A put is atomic and durable: a reader sees all of it or none, also after a power cut."""

    async def put(self, key: str, data: bytes, content_type: str) -> None: ...

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        """A put of what an open file holds, from its start, without all of it in memory."""
        ...

    async def copy(self, source: str, target: str) -> None:
        """The same bytes under another key, which outlive the first; they do not pass through here. Raises ObjectMissing."""
        ...

    async def get(self, key: str) -> bytes:
        """Raises ObjectMissing."""
        ...

    async def open(self, key: str) -> OpenObject:
        """Raises ObjectMissing."""
        ...

    async def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        ...


def file_sha256(file: BinaryIO) -> bytes:
    """The digest of all that an open file holds, read piece by piece."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.digest()


def checked_key(key: str) -> str:
    """The key itself when it is one: segments of letters, digits, dot, dash and underscore, none starting with a dot."""
    if len(key) > MAX_KEY_CHARS or _KEY.fullmatch(key) is None:
        raise InvalidKey(
            f"object key {key[:80]!r} is not made of plain segments, or exceeds {MAX_KEY_CHARS} characters"
        )
    return key
