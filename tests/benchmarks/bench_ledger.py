"""What the ledger costs beside its own statements: reserve + settle through the ledger, and the same SQL straight through the driver.

`python -m tests.benchmarks.bench_ledger [--jobs N] [--clients N ...]` runs both ways by turns on a fresh SQLite file (WAL,
synchronous=FULL) and on a PostgreSQL of its own (fsync on), and prints jobs per second and the ratio. Each job is two
transactions of one account: reserve, then settle with a capture. The generation rows are there before the clock starts.

The bare way sends what the ledger sends, statement for statement, with the drivers' own calls: aiosqlite and asyncpg.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
import asyncpg
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from app.core import ledger
from app.core.db.engine import Database
from app.core.db.migrate import migrate
from app.core.ledger import Hold
from tests.fixtures.accounts import EPOCH, insert_account, insert_task
from tests.fixtures.postgresql import serve

PRICE = 1_000
ROUNDS = 5

Job = Callable[[str], Awaitable[None]]


class Bare(Protocol):
    """A driver's connection: parameters are written $1, $2 and so on in every statement."""

    async def fetch(self, query: str, *values: Any) -> list[Any]: ...

    async def many(self, query: str, rows: Sequence[tuple[Any, ...]]) -> None: ...


@dataclass
class BareSqlite:
    """aiosqlite's own calls."""

    connection: aiosqlite.Connection

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        async with self.connection.execute(query, values) as cursor:
            return list(await cursor.fetchall())

    async def many(self, query: str, rows: Sequence[tuple[Any, ...]]) -> None:
        async with self.connection.executemany(query, rows):
            pass


@dataclass
class BarePostgres:
    """asyncpg's own calls."""

    connection: Any

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        return await self.connection.fetch(query, *values)

    async def many(self, query: str, rows: Sequence[tuple[Any, ...]]) -> None:
        await self.connection.executemany(query, rows)


HOLD = "UPDATE account SET held_micro = held_micro + $1 WHERE id = $2 AND posted_micro - held_micro >= $1 RETURNING id"
DRAW = (
    "UPDATE credit_grant SET remaining_micro = remaining_micro - $1 WHERE id = (SELECT id FROM credit_grant "
    "WHERE account_id = $2 AND remaining_micro > 0 AND (expires_at IS NULL OR expires_at > $3) ORDER BY "
    "CASE kind WHEN 'free' THEN 0 WHEN 'promotional' THEN 1 ELSE 2 END, expires_at IS NULL, expires_at, id LIMIT 1) "
    "AND remaining_micro >= $1 RETURNING id"
)
MOVE = (
    "INSERT INTO ledger_transaction (kind, account_id, generation_id, created_at) VALUES ($1, $2, $3, $4) RETURNING id"
)
ENTRY = "INSERT INTO ledger_entry (transaction_id, ledger_account, grant_id, amount_micro) VALUES ($1, $2, $3, $4)"
CLOSE = (
    "UPDATE account SET held_micro = held_micro - $1, posted_micro = posted_micro - $1 "
    "WHERE id = $2 AND held_micro >= $1 RETURNING id"
)
DRAWN = (
    "SELECT id, grant_id, amount_micro FROM ledger_entry WHERE amount_micro > 0 AND transaction_id = "
    "(SELECT id FROM ledger_transaction WHERE generation_id = $1 AND kind = 'reserve')"
)


async def bare_reserve(session: Bare, account_id: str, generation_id: str, now: Any) -> None:
    available, held = f"customer:{account_id}:available", f"customer:{account_id}:held"
    assert await session.fetch(HOLD, PRICE, account_id)
    (grant_id,) = (await session.fetch(DRAW, PRICE, account_id, now))[0]
    (number,) = (await session.fetch(MOVE, "reserve", account_id, generation_id, now))[0]
    await session.many(ENTRY, [(number, available, grant_id, -PRICE), (number, held, grant_id, PRICE)])


async def bare_settle(session: Bare, account_id: str, generation_id: str, now: Any) -> None:
    held = f"customer:{account_id}:held"
    assert await session.fetch(CLOSE, PRICE, account_id)
    _, grant_id, micro = (await session.fetch(DRAWN, generation_id))[0]
    (number,) = (await session.fetch(MOVE, "settle", account_id, generation_id, now))[0]
    await session.many(ENTRY, [(number, held, grant_id, -micro), (number, "revenue", grant_id, micro)])


def through_the_ledger(database: Database, account_id: str) -> Job:
    async def job(generation_id: str) -> None:
        async with database.write() as session:
            await ledger.reserve(session, account_id, generation_id, PRICE, EPOCH)
        async with database.write() as session:
            await ledger.settle(session, Hold(generation_id, account_id, PRICE), PRICE, EPOCH)

    return job


@asynccontextmanager
async def straight_through(url: str, account_id: str, num_clients: int) -> AsyncGenerator[Job]:
    """Jobs over the driver's connections: one for SQLite, which has one writer, and as many as there are clients else."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        async with aiosqlite.connect(parsed.database or "", isolation_level=None, timeout=30) as connection:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                await connection.execute(f"PRAGMA {pragma}")
            yield _sqlite_job(connection, account_id)
        return
    address = url.replace("+asyncpg", "")
    async with asyncpg.create_pool(
        address, min_size=num_clients, max_size=num_clients, server_settings={"jit": "off"}
    ) as pool:
        yield _postgres_job(pool, account_id)


def _sqlite_job(connection: aiosqlite.Connection, account_id: str) -> Job:
    turn, bare, now = asyncio.Lock(), BareSqlite(connection), EPOCH.strftime("%Y-%m-%d %H:%M:%S.%f")

    async def job(generation_id: str) -> None:
        for part in (bare_reserve, bare_settle):
            async with turn:
                await bare.fetch("BEGIN IMMEDIATE")
                await part(bare, account_id, generation_id, now)
                await connection.commit()

    return job


def _postgres_job(pool: Any, account_id: str) -> Job:
    async def job(generation_id: str) -> None:
        for part in (bare_reserve, bare_settle):
            async with pool.acquire() as connection, connection.transaction():
                await part(BarePostgres(connection), account_id, generation_id, EPOCH)

    return job


async def unpaid(database: Database, account_id: str, count: int) -> list[str]:
    """Generations that nothing has been reserved for."""
    async with database.write() as session:
        return await insert_task(session, account_id, num_images=count, reserves=False)


async def timed(job: Job, ids: Sequence[str], num_clients: int) -> float:
    """Jobs per second of so many clients."""
    waiting = list(ids)

    async def client() -> None:
        while waiting:
            await job(waiting.pop())

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(num_clients)))
    return len(ids) / (time.perf_counter() - began)


async def measure(url: str, num_jobs: int, num_clients: int) -> tuple[float, float, float]:
    """Median jobs per second through the ledger and straight through, and the median of the rounds' ratios."""
    database = Database.open(url)
    async with database.write() as session:
        account_id = await insert_account(session, 10**15)
    ours: list[float] = []
    bare: list[float] = []
    async with straight_through(url, account_id, num_clients) as bare_job:
        for job in (through_the_ledger(database, account_id), bare_job):  # connections and statements are made here
            await timed(job, await unpaid(database, account_id, num_clients), num_clients)
        for _ in range(ROUNDS):
            ours_ids, bare_ids = [await unpaid(database, account_id, num_jobs) for _ in range(2)]
            ours.append(await timed(through_the_ledger(database, account_id), ours_ids, num_clients))
            bare.append(await timed(bare_job, bare_ids, num_clients))
    await database.close()
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return statistics.median(ours), statistics.median(bare), statistics.median(ratios)


@contextmanager
def databases():
    """Addresses of a SQLite file on the disk and of a PostgreSQL that syncs its writes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(fsync="on", synchronous_commit="on", full_page_writes="on") as server,
    ):
        asyncio.run(server.execute("CREATE DATABASE bench"))
        yield {"SQLite": f"sqlite+aiosqlite:///{Path(folder) / 'bench.sqlite3'}", "PostgreSQL": server.url("bench")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    table = Table("database", "clients", "ledger jobs/s", "bare jobs/s", "ratio")
    with databases() as urls:
        for name, url in urls.items():
            asyncio.run(migrate(url))
            for num_clients in arguments.clients:
                ours, bare, ratio = asyncio.run(measure(url, arguments.jobs, num_clients))
                table.add_row(name, str(num_clients), f"{ours:.0f}", f"{bare:.0f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
