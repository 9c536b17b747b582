"""A real HTTP server of a customer's: its path says how it behaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from standardwebhooks import Webhook

from tests.fixtures.loopback_server import serving


@dataclass
class Receiver:
    """Answers /NNN with that status; /hang says nothing, /hang-up closes after the request."""

    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    num_connections: int = 0
    port: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Receiver"]:
        async with serving(self._serve) as self.port:
            yield self

    def signature(self, secret: str, number: int = 0) -> str:
        """What the package of Standard Webhooks' authors signs that request with."""
        headers, body = self.asked[number]
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        return Webhook(secret).sign(headers["webhook-id"], at, body.decode())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        self.asked.append((headers, await reader.readexactly(int(headers["content-length"]))))
        path = first.split(" ")[1].removeprefix("/")
        if path == "hang":
            await reader.read()  # until the sender has had enough
        elif path != "hang-up":
            writer.write(f"HTTP/1.1 {path} X\r\nlocation: /200\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
