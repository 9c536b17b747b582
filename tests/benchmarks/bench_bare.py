"""Submit and poll of the real gateway against a bare FastAPI route that sends the same statements through the same driver.

`python -m tests.benchmarks.bench_bare [--requests N] [--rounds N] [--clients N ...] [--only embedded|distributed]` records what one
submit and one poll of the gateway send (tests.benchmarks.recording), starts a gateway and the bare route (tests.benchmarks.bare_route),
each a process of its own with the same settings of uvicorn on a database of its own, and asks them by turns over keep-alive connections. No
worker runs. Embedded is SQLite (WAL, synchronous=FULL), distributed PostgreSQL with fsync on and Redis. The aims are ratios of
throughput of 0.6 for a submit and 0.5 for a poll.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from app.core.config import Settings
from app.core.db.engine import Database
from app.core.db.migrate import migrate
from tests.benchmarks.bare_route import serve_bare
from tests.benchmarks.http_clients import Timed, ask_all, request_bytes
from tests.benchmarks.recording import BODY, Recording, record
from tests.fixtures.gateway_process import furnish, running_gateway
from tests.fixtures.postgresql import serve
from tests.fixtures.redis_server import serve_redis

DURABLE: Final = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
UNLIMITED: Final = {
    "DARKROOM_LIMITS__ACTIVE": "1000000",
    "DARKROOM_LIMITS__BURST": "1000000",
    "DARKROOM_LIMITS__POLL_BURST": "1000000",
    "DARKROOM_QUEUE__MAX_QUEUED": "1000000",
    "DARKROOM_QUEUE__DEADLINE_S": "86400",
}
CREDITS: Final = 1_000_000
WARM_UP: Final = 50
READY_WITHIN_S: Final = 60.0
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Served:
    """A server under measurement: its process, its port, and the database that it has for itself."""

    pid: int
    port: int
    key: str
    database_url: str

    def cpu_s(self) -> float:
        """Processor time that it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@dataclass
class Side:
    """What was measured of one server: of each round its throughput, of all of them the milliseconds and the processor time."""

    per_s: list[float] = field(default_factory=list[float])
    each_ms: list[float] = field(default_factory=list[float])
    cpu_s: float = 0.0

    def add(self, timed: Timed, cpu_s: float) -> None:
        self.per_s.append(timed.per_s)
        self.each_ms.extend(timed.each_ms)
        self.cpu_s += cpu_s

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.each_ms)

    @property
    def cpu_ms(self) -> float:
        """Of one request."""
        return 1000 * self.cpu_s / len(self.each_ms)


async def asked(server: Served, requests: Sequence[bytes], num_clients: int, side: Side | None) -> list[bytes]:
    before_s = server.cpu_s()
    timed = await ask_all(server.port, requests, num_clients)
    if side is not None:
        side.add(timed, server.cpu_s() - before_s)
    return timed.answers


async def one_round(server: Served, num_requests: int, num_clients: int, sides: dict[str, Side] | None) -> None:
    """So many submits, then a poll of each, then the queue is emptied."""
    submit = request_bytes("POST", "/v1/flux-nano", server.key, json.dumps(BODY).encode())
    found = sides or {}
    answers = await asked(server, [submit] * num_requests, num_clients, found.get("submit"))
    tasks = [json.loads(answer)["id"] for answer in answers]
    polls = [request_bytes("GET", f"/v1/get_result?id={task}", server.key) for task in tasks]
    await asked(server, polls, num_clients, found.get("poll"))
    await empty_the_queue(server.database_url)


async def empty_the_queue(url: str) -> None:
    """A queue that only grows would make every count in a submit longer. Both servers' rows are ended alike."""
    database = Database.open(url)
    async with database.write() as session:
        await session.execute(text("UPDATE generation SET state = 'cancelled' WHERE state = 'queued'"))
    await database.close()


async def measure(gateway: Served, bare: Served, num_requests: int, num_rounds: int, num_clients: int):
    """By turns, so that a busy moment of the machine is both servers'."""
    sides = {name: {"submit": Side(), "poll": Side()} for name in ("gateway", "bare")}
    for server in (gateway, bare):
        await one_round(server, WARM_UP, num_clients, None)
    for number in range(num_rounds):
        pair = [(gateway, sides["gateway"]), (bare, sides["bare"])]
        for server, side in pair if number % 2 else reversed(pair):
            await one_round(server, num_requests, num_clients, side)
    return sides["gateway"], sides["bare"]


@contextmanager
def running_bare(url: str, key: str, submit: Recording, poll: Recording) -> Generator[Served]:
    context = multiprocessing.get_context("spawn")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = context.Process(target=serve_bare, args=(listener, url, submit, poll), daemon=True)
        process.start()
        port = listener.getsockname()[1]
    try:
        _await_answer(port)
        yield Served(process.pid or 0, port, key, url)
    finally:
        process.terminate()
        process.join(timeout=30)


def _await_answer(port: int) -> None:
    """The socket takes connections before its server does; an answer of whatever kind says that it is there."""
    give_up_at = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < give_up_at:
        with socket.create_connection(("127.0.0.1", port), timeout=READY_WITHIN_S) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if connection.recv(1):
                return
    raise AssertionError("the bare route did not start")


def run(
    data_dir: Path, urls: Sequence[str], arguments: argparse.Namespace, **environment: str
) -> list[tuple[Any, ...]]:
    """A gateway and a bare route, each on a fresh database, and each number of clients."""
    for name, value in {**UNLIMITED, **environment}.items():
        os.environ[name] = value
    keys, settings = [], []
    for url in urls:
        settings.append(Settings.model_validate({"data_dir": data_dir, "database": {"url": url}}))
        asyncio.run(migrate(url))
        keys.append(asyncio.run(furnish(settings[-1], CREDITS)))
    submit, poll = asyncio.run(record(settings[1], keys[1]))
    rows: list[tuple[Any, ...]] = []
    with (
        running_gateway(data_dir, keys[0], **environment, DARKROOM_DATABASE__URL=urls[0]) as process,
        running_bare(urls[1], keys[1], submit, poll) as bare,
    ):
        gateway = Served(process.process.pid, process.port, keys[0], urls[0])
        for clients in arguments.clients:
            ours, theirs = asyncio.run(measure(gateway, bare, arguments.requests, arguments.rounds, clients))
            for name, recording in (("submit", submit), ("poll", poll)):
                rows.append(row_of(name, clients, recording, ours[name], theirs[name]))
    return rows


def row_of(name: str, num_clients: int, recording: Recording, ours: Side, bare: Side) -> tuple[Any, ...]:
    ratios = [one / other for one, other in zip(ours.per_s, bare.per_s, strict=True)]
    numbers = (
        statistics.median(ours.per_s),
        statistics.median(bare.per_s),
        statistics.median(ratios),
        ours.p50_ms,
        bare.p50_ms,
        bare.p50_ms / ours.p50_ms,
        ours.cpu_ms,
        bare.cpu_ms,
    )
    return (name, str(num_clients), str(recording.num_statements), *(f"{one:.2f}" for one in numbers))


def embedded(arguments: argparse.Namespace) -> list[tuple[Any, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite+aiosqlite:///{Path(folder) / name}.sqlite3" for name in ("gateway", "bare")]
        return run(Path(folder), urls, arguments)


def distributed(arguments: argparse.Namespace) -> list[tuple[Any, ...]]:
    with tempfile.TemporaryDirectory() as folder, serve(**DURABLE) as postgres, serve_redis() as redis:
        for name in ("gateway", "bare"):
            asyncio.run(postgres.execute(f"CREATE DATABASE {name}"))
        urls = [postgres.url(name) for name in ("gateway", "bare")]
        return run(Path(folder), urls, arguments, DARKROOM_REDIS__URL=redis.url)


RUNS: Final = {"embedded": embedded, "distributed": distributed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--only", choices=RUNS)
    arguments = parser.parse_args()
    head = (
        "",
        "request",
        "clients",
        "statements",
        "a second",
        "bare",
        "ratio",
        "p50 ms",
        "bare",
        "ratio",
        "CPU ms",
        "bare",
    )
    table = Table(*head)
    for name in [arguments.only] if arguments.only else RUNS:
        for row in RUNS[name](arguments):
            table.add_row(name, *row)
    Console(width=140).print(table)
    Console().print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
