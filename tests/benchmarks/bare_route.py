"""A FastAPI application that only replays recorded statements through the database's own driver: what bench_bare measures against.

The recording is the gateway's own (tests.benchmarks.recording), so the bare route stays as honest as the gateway is frugal. Identifiers
that a request makes are made anew for each; everything else is sent as it was recorded. Transactions are the recorded ones.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

import aiosqlite
import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import make_url

from app.core.ids import new_id
from tests.benchmarks.recording import MadeAnew, Recording, Statement, Unit

NUM_CONNECTIONS: Final = 8
PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000")


class Body(BaseModel):
    """As much of a submit's body as its clients send."""

    prompt: str
    width: int
    height: int
    steps: int


class Replayer(Protocol):
    """Runs one recorded unit: a transaction, or statements without one."""

    async def run(self, unit: Unit, made: dict[str, Any]) -> None: ...


Opening = Callable[[], AbstractAsyncContextManager[Replayer]]


def with_values(statement: Statement, made: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The recorded parameters, with this request's identifiers in the places of the recorded ones."""
    return [
        tuple(made.setdefault(value.name, new_id()) if isinstance(value, MadeAnew) else value for value in row)
        for row in statement.rows
    ]


def keep_made(statement: Statement, rows: Sequence[Sequence[Any]], made: dict[str, Any]) -> None:
    """What the database has counted up is used by the statements that follow."""
    if statement.returns is not None:
        made[statement.returns] = rows[0][0]


class SqliteReplayer:
    """aiosqlite's own calls: one connection that writes, in turn, and some that read."""

    def __init__(self, writer: aiosqlite.Connection, readers: "asyncio.Queue[aiosqlite.Connection]") -> None:
        self._writer = writer
        self._readers = readers
        self._turn = asyncio.Lock()

    async def run(self, unit: Unit, made: dict[str, Any]) -> None:
        if unit.writes:
            async with self._turn:
                await self._replay(self._writer, unit, made)
            return
        reader = await self._readers.get()
        try:
            await self._replay(reader, unit, made)
        finally:
            self._readers.put_nowait(reader)

    async def _replay(self, connection: aiosqlite.Connection, unit: Unit, made: dict[str, Any]) -> None:
        for statement in unit.statements:
            rows = with_values(statement, made)
            if statement.is_many:
                async with connection.executemany(statement.sql, rows):
                    continue
            async with connection.execute(statement.sql, rows[0]) as cursor:
                keep_made(statement, list(await cursor.fetchall()), made)
        if unit.is_transaction:
            await (connection.commit() if unit.writes else connection.rollback())


class PostgresReplayer:
    """asyncpg's own calls, over its pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def run(self, unit: Unit, made: dict[str, Any]) -> None:
        async with self._pool.acquire() as connection:
            if not unit.is_transaction:
                await self._replay(connection, unit, made)
                return
            async with connection.transaction(isolation=unit.isolation):
                await self._replay(connection, unit, made)

    async def _replay(self, connection: Any, unit: Unit, made: dict[str, Any]) -> None:
        for statement in unit.statements:
            rows = with_values(statement, made)
            if statement.is_many:
                await connection.executemany(statement.sql, rows)
            else:
                keep_made(statement, await connection.fetch(statement.sql, *rows[0]), made)


@asynccontextmanager
async def open_sqlite(path: str) -> AsyncGenerator[Replayer]:
    connections = [await aiosqlite.connect(path, isolation_level=None, timeout=30) for _ in range(NUM_CONNECTIONS)]
    readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
    for connection in connections:
        for pragma in PRAGMAS:
            await connection.execute(f"PRAGMA {pragma}")
    for connection in connections[1:]:
        readers.put_nowait(connection)
    try:
        yield SqliteReplayer(connections[0], readers)
    finally:
        for connection in connections:
            await connection.close()


@asynccontextmanager
async def open_postgres(address: str) -> AsyncGenerator[Replayer]:
    settings = {"jit": "off"}
    async with asyncpg.create_pool(address, min_size=8, max_size=8, server_settings=settings) as pool:
        yield PostgresReplayer(pool)


def opening(url: str) -> Opening:
    """What opens a replayer on this database of SQLAlchemy's spelling."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return lambda: open_sqlite(parsed.database or "")
    address = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    return lambda: open_postgres(address)


def create_bare(url: str, submit: Recording, poll: Recording) -> FastAPI:
    """Two routes, each with the statements that the gateway sends, and an answer of the same length."""
    replayers: list[Replayer] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with opening(url)() as replayer:
            replayers.append(replayer)
            yield

    app = FastAPI(lifespan=lifespan)

    async def submitted(body: Body) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for unit in submit.units:
            await replayers[0].run(unit, made)
        return {**submit.answer, "id": made["task"], "cost": body.steps}

    async def polled(id: str) -> dict[str, Any]:
        made: dict[str, Any] = {"task": id}
        for unit in poll.units:
            await replayers[0].run(unit, made)
        return {**poll.answer, "id": id}

    app.add_api_route("/v1/flux-nano", submitted, methods=["POST"])
    app.add_api_route("/v1/get_result", polled, methods=["GET"])
    return app


def serve_bare(listener: socket.socket, url: str, submit: Recording, poll: Recording) -> None:
    """Run it on a socket, with the gateway's settings of uvicorn."""
    config = uvicorn.Config(
        create_bare(url, submit, poll),
        access_log=False,
        log_config=None,
        server_header=False,
        ws="none",
        proxy_headers=False,
        lifespan="on",
    )
    uvicorn.Server(config).run([listener])
