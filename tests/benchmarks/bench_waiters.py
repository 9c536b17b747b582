"""Idle waiters on one gateway: what each costs in memory, how soon one of them wakes, and what the rest of the service notices.

`python -m tests.benchmarks.bench_waiters [--waiters 1000]` starts a gateway as a process of its own on SQLite, lets so many clients
of this process hold a stream of events (then so many a long poll) on as many tasks, and ends tasks one at a time as a worker would:
the row is settled, then the news goes over the events' socket. A wake is from the moment the news is sent to the client's first byte.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console
from rich.table import Table

from app.core import claims
from app.core.claims import Claim, Failed
from app.core.config import Settings
from app.core.db.engine import Database
from app.core.db.migrate import upgrade
from app.core.events.base import Done
from app.core.events.local import LocalEventClient, events_socket_path
from tests.fixtures.gateway_process import GatewayProcess, furnish, running_gateway

NUM_WAKES: Final = 50
POLLS: Final = 100
UNLIMITED: Final = {
    "DARKROOM_LIMITS__ACTIVE": "100000",
    "DARKROOM_LIMITS__BURST": "100000",
    "DARKROOM_LIMITS__POLL_BURST": "100000",
    "DARKROOM_LOG__LEVEL": "warning",
}


class Held:
    """A connection that holds one answer: raw, so that thousands cost this process little."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, gateway: GatewayProcess, path: str, headers: str) -> "Held":
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\nx-key: {gateway.key}\r\n{headers}\r\n"
        writer.write(request.encode())
        await writer.drain()
        return cls(reader, writer)

    async def first(self, mark: bytes) -> float:
        """When this was first seen in the answer, seconds of the monotonic clock."""
        await self._reader.readuntil(mark)
        return time.monotonic()

    def close(self) -> None:
        self._writer.close()


def resident_kb(gateway: GatewayProcess) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


async def submit(gateway: GatewayProcess, count: int) -> None:
    body = {"prompt": "a", "steps": 1, "width": 64, "height": 64}
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers={"x-key": gateway.key}) as http:
        for _ in range(count):
            (await http.post(f"{gateway.url}/v1/flux-nano", json=body)).raise_for_status()


async def claim_all(database: Database, count: int) -> list[Claim]:
    async with database.write() as session:
        now = datetime.now(UTC)
        return await claims.claim(session, "w", "default", ("flux-nano",), count, now, lease_s=3600.0)


async def wake_ms(database: Database, worker: LocalEventClient, held: Held, claim: Claim, mark: bytes) -> float:
    """End one task without a picture, and see when its waiter hears of it."""
    now = datetime.now(UTC)
    async with database.write() as session:
        failed = Failed("no_output", "a benchmark", retryable=False)
        await claims.settle_failed(session, claim.generation_id, claim.attempt, failed, now, 1)
    sent = time.monotonic()
    worker.publish(Done(claim.generation_id, claim.task_id, "error"))
    return (await held.first(mark) - sent) * 1000


async def polls_ms(gateway: GatewayProcess) -> float:
    """What another request notices: the median of a look at the balance."""
    times: list[float] = []
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers={"x-key": gateway.key}) as http:
        for _ in range(POLLS):
            began = time.monotonic()
            (await http.get(f"{gateway.url}/v1/credits")).raise_for_status()
            times.append((time.monotonic() - began) * 1000)
    return statistics.median(times)


async def measure(
    gateway: GatewayProcess, database: Database, worker: LocalEventClient, count: int, kind: str
) -> tuple[str, ...]:
    await submit(gateway, count)
    held_rows = await claim_all(database, count)
    path, headers, first, mark = {
        "events": ("/v1/tasks/{}/events", "", b"event: running", b"event: failed"),
        "long poll": ("/v1/tasks/{}", "prefer: wait=60\r\n", b"", b"HTTP/1.1 200"),
    }[kind]
    quiet_ms, before_kb = await polls_ms(gateway), resident_kb(gateway)
    waiters: list[Held] = []
    for claim in held_rows:
        waiters.append(await Held.open(gateway, path.format(claim.task_id), headers))
        if first:
            await waiters[-1].first(first)
    await asyncio.sleep(2.0)
    beside_ms = await polls_ms(gateway)  # answered in turn: all who wait are there then
    each_kb = (resident_kb(gateway) - before_kb) / count
    pairs = list(zip(waiters, held_rows, strict=True))[:NUM_WAKES]
    wakes = sorted([await wake_ms(database, worker, held, claim, mark) for held, claim in pairs])
    for held in waiters:
        held.close()
    numbers = (each_kb, wakes[len(wakes) // 2], wakes[-1], quiet_ms, beside_ms)
    return (kind, str(count), *(f"{one:.1f}" for one in numbers))


async def measured(gateway: GatewayProcess, settings: Settings, count: int, kind: str) -> tuple[str, ...]:
    database, worker = Database.open(settings.database.url), LocalEventClient(events_socket_path(settings))
    await worker.start()
    while not worker.is_connected:  # noqa: ASYNC110 - it says so by nothing else
        await asyncio.sleep(0.05)
    try:
        return await measure(gateway, database, worker, count, kind)
    finally:
        await worker.close()
        await database.close()


def on_a_gateway(count: int, kind: str) -> tuple[str, ...]:
    """Each kind has a gateway of its own: what one has freed the next would fill."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        upgrade(settings.database.url)
        key = asyncio.run(furnish(settings, credits=10_000))
        with running_gateway(Path(folder), key, **UNLIMITED) as gateway:
            return asyncio.run(measured(gateway, settings, count, kind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiters", type=int, default=1000)
    count = parser.parse_args().waiters
    table = Table(
        "waiters", "number", "KB each", "wake p50 ms", "wake max ms", "balance p50 ms before", "and beside them"
    )
    for kind in ("events", "long poll"):
        table.add_row(*on_a_gateway(count, kind))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
