"""A real HTTP server on the loopback address that knows who has called."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.fixtures.loopback_server import serving


@dataclass
class Listener:
    """Answers every request with the bytes of its path, and keeps what was asked."""

    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    num_connections: int = 0
    port: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Listener"]:
        async with serving(self._serve) as self.port:
            yield self

    @asynccontextmanager
    async def at(self, address: str, port: int) -> AsyncIterator["Listener"]:
        """Answers there, too."""
        async with serving(self._serve, address, port):
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.asked.append(head)
        answer = self.answers.get(head.split(" ")[1])
        if answer is None:
            await reader.read()  # says nothing, until the caller has had enough
        else:
            writer.write(answer)
            await writer.drain()


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def redirect(to: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Found\r\nLocation: {to}\r\ncontent-length: 0\r\n\r\n".encode()
