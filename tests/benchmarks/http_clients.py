"""Clients over keep-alive connections that cost little themselves: raw sockets and one loop, so that the server is what is measured."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Timed:
    """Some requests of some clients: their answers in the order of asking, each one's milliseconds, and the whole time."""

    answers: list[bytes]
    each_ms: list[float]
    whole_s: float

    @property
    def per_s(self) -> float:
        return len(self.answers) / self.whole_s


class Client:
    """One connection that asks one thing at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> bytes:
        """Send a whole request; the body of its answer, whose status has to be 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        body = await self._reader.readexactly(length)
        assert head.startswith(b"HTTP/1.1 200"), head + body
        return body

    def close(self) -> None:
        self._writer.close()


def request_bytes(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    """One request over HTTP/1.1."""
    about = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-key: {key}\r\n{about}\r\n".encode() + body


async def ask_all(port: int, requests: Iterable[bytes], num_clients: int) -> Timed:
    """All requests, shared out among so many clients."""
    waiting = list(enumerate(requests))
    answers: list[bytes] = [b""] * len(waiting)
    each_ms: list[float] = [0.0] * len(waiting)
    waiting.reverse()
    clients = [await Client.connect(port) for _ in range(num_clients)]

    async def work(ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        while waiting:
            number, request = waiting.pop()
            sent_s = time.perf_counter()
            answers[number] = await ask(request)
            each_ms[number] = 1000 * (time.perf_counter() - sent_s)

    began_s = time.perf_counter()
    await asyncio.gather(*(work(one.ask) for one in clients))
    whole_s = time.perf_counter() - began_s
    for one in clients:
        one.close()
    return Timed(answers, each_ms, whole_s)
