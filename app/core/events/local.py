"""Events over a Unix socket in the data directory, JSON lines, both ways: the gateway serves, workers connect.

Nothing here is durable. A full buffer, a missing peer or a restart loses messages, which design and tests allow for.
"""

import asyncio
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from app.core.config import Settings
from app.core.events.base import Event, decode, encode
from app.core.events.inbox import Inbox

MAX_PATH_BYTES = 100
"""A Unix socket's address holds 104 to 108 bytes, by system."""
MAX_UNSENT_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 16
RECONNECT_S = 0.5


def events_socket_path(settings: Settings) -> Path:
    """`events.sock` in the data directory, or a short name in the user's temporary folder when that is too long."""
    path = settings.data_dir / "events.sock"
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(settings.data_dir.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"darkroom-{os.getuid()}" / f"{name}.sock"


async def _fill(inbox: Inbox, reader: asyncio.StreamReader) -> None:
    """Read lines until the peer goes away or sends a line too long to be ours."""
    while line := await reader.readline():
        event = decode(line)
        if event is not None:
            inbox.put(event)


def _send(writer: asyncio.StreamWriter, line: bytes) -> None:
    """Write without waiting, unless the peer is gone or far behind."""
    if not writer.is_closing() and writer.transport.get_write_buffer_size() < MAX_UNSENT_BYTES:
        writer.write(line)


class LocalEventServer:
    """The gateway's end: sends to every connected worker, receives from all of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inbox = Inbox()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._inode: int | None = None

    async def start(self) -> None:
        """Listen; a socket left over by a dead gateway is replaced."""
        _make_private_folder(self._path.parent)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE_BYTES)
        self._path.chmod(0o600)
        self._inode = self._path.stat().st_ino

    def publish(self, event: Event) -> None:
        line = encode(event)
        for writer in self._writers:
            _send(writer, line)

    async def receive(self) -> Event:
        return await self._inbox.get()

    async def close(self) -> None:
        """Stop listening and drop the workers; the socket file goes too, unless a newer gateway has taken its place."""
        if self._server is None:
            return
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink(missing_ok=True)
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await _fill(self._inbox, reader)
        except (OSError, ValueError):
            return  # the worker is gone or is no worker; it reconnects
        finally:
            self._writers.discard(writer)
            writer.close()


class LocalEventClient:
    """A worker's end: connects, and connects again for as long as it lives."""

    def __init__(self, path: Path, *, reconnect_s: float = RECONNECT_S) -> None:
        self._path = path
        self._reconnect_s = reconnect_s
        self._inbox = Inbox()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin connecting; returns at once, whether or not a gateway is there."""
        self._task = asyncio.create_task(self._stay_connected(), name="events")

    @property
    def is_connected(self) -> bool:
        return self._writer is not None

    def publish(self, event: Event) -> None:
        if self._writer is not None:
            _send(self._writer, encode(event))

    async def receive(self) -> Event:
        return await self._inbox.get()

    async def close(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _stay_connected(self) -> None:
        while True:
            with suppress(OSError, ValueError):  # no gateway, or it went away in mid-line
                await self._converse()
            await asyncio.sleep(self._reconnect_s)

    async def _converse(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
        self._writer = writer
        try:
            await _fill(self._inbox, reader)
        finally:
            self._writer = None
            writer.close()


def _make_private_folder(folder: Path) -> None:
    """Create the socket's folder for this user alone; refuse one in a shared place that somebody else made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.getuid() not in (0, folder.stat().st_uid):
        raise PermissionError(f"{folder} belongs to another user")
