"""Where an installed folder of weights can be fetched from: another folder, or files below a web address. Buckets are the service's."""

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from urllib.parse import quote, urlsplit

import httpx

BLOCK_BYTES: Final = 4 * 2**20
ANSWER_WITHIN_S: Final = 30.0
PARTIAL: Final = 206


class Unreachable(OSError):
    """A place does not answer, or has no such file; the message names it."""


@dataclass(frozen=True)
class Opened:
    """A file being read: the byte at which it really begins, and its content from there on."""

    start: int
    blocks: Iterator[bytes]


class Place(Protocol):
    """Files by their path below it."""

    def open(self, name: str, offset: int) -> AbstractContextManager[Opened]:
        """Read a file from `offset` on, or from 0 where the place cannot do better. Raises Unreachable, then or while it is read."""
        ...


class FolderPlace:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, name: str, offset: int) -> Generator[Opened]:
        path = self._folder / name
        try:
            file = path.open("rb")
        except OSError as error:
            raise Unreachable(f"{path}: {error.strerror or error}") from error
        with file:
            file.seek(offset)
            yield Opened(offset, _blocks(path, file))


def _blocks(path: Path, file: BinaryIO) -> Iterator[bytes]:
    try:
        while block := file.read(BLOCK_BYTES):
            yield block
    except OSError as error:
        raise Unreachable(f"{path}: {error.strerror or error}") from error


class WebPlace:
    """Files below an http or https address. What they hold is checked by its sum, so neither server nor path is trusted."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        address = urlsplit(self._url)
        # What messages say, without a name and a password that the address may hold.
        self._shown = f"{address.hostname}{address.path}"

    @contextmanager
    def open(self, name: str, offset: int) -> Generator[Opened]:
        url, shown = f"{self._url}/{quote(name)}", f"{self._shown}/{name}"
        asked = {"range": f"bytes={offset}-"} if offset else {}
        # Sizes are counted in bytes as they lie there, so nothing may be packed under way.
        headers = {"accept-encoding": "identity", **asked}
        try:
            with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=ANSWER_WITHIN_S) as answer:
                if not answer.is_success:
                    raise Unreachable(f"{shown} answers {answer.status_code}")
                yield Opened(offset if answer.status_code == PARTIAL else 0, answer.iter_raw())
        except httpx.HTTPError as error:
            raise Unreachable(f"{shown}: {type(error).__name__}") from None
