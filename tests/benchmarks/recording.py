"""The statements of one request, as a gateway really sends them: heard from SQLAlchemy's events in a gateway of this process."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import Connection, event

from app.core.config import Settings
from app.core.db.engine import Database
from app.core.db.prepared import Prepared
from app.main import create_app

AUTOCOMMIT = "AUTOCOMMIT"
BODY = {"prompt": "a red fox in the snow", "width": 64, "height": 64, "steps": 1}


_is_heard: ContextVar[bool] = ContextVar("is_heard", default=False)
"""Whether this context serves the request that is recorded: background work asks the database, too."""


@dataclass(frozen=True)
class MadeAnew:
    """In the place of a value: one that each request makes anew, by its name."""

    name: str


@dataclass(frozen=True)
class Statement:
    """What reached the driver: one row of parameters, or several for an executemany."""

    sql: str
    rows: tuple[tuple[Any, ...], ...]
    is_many: bool
    returns: str | None = None
    """What the first column of its answer is called where later statements use it."""


@dataclass
class Unit:
    """A transaction, or (`is_transaction` false) what was sent without one."""

    is_transaction: bool
    isolation: str | None = None
    statements: list[Statement] = field(default_factory=list[Statement])
    writes: bool = False


@dataclass(frozen=True)
class Recording:
    """Everything that one request sent to the database, and what it was answered."""

    units: tuple[Unit, ...]
    answer: dict[str, Any]

    @property
    def num_statements(self) -> int:
        """As the driver counts them, without the ends of transactions."""
        return sum(len(unit.statements) for unit in self.units)


class Recorder:
    """Listens to a database: to SQLAlchemy's events, and to questions, which pass it by."""

    def __init__(self, database: Database) -> None:
        engine = database.engine.sync_engine
        self._database = database
        self._ask = database.ask
        database.ask = self._asked
        self._engine = engine
        self._units: dict[int, Unit] = {}
        self.done: list[Unit] = []
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "before_cursor_execute", self._execute)
        event.listen(engine, "commit", self._end)
        event.listen(engine, "rollback", self._end)

    def close(self) -> None:
        self._database.ask = self._ask
        event.remove(self._engine, "begin", self._begin)
        event.remove(self._engine, "before_cursor_execute", self._execute)
        event.remove(self._engine, "commit", self._end)
        event.remove(self._engine, "rollback", self._end)

    async def _asked(self, prepared: Prepared, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        if _is_heard.get():
            compiled = prepared.on(self._engine.dialect)
            rows = (_plain(compiled.parameters(values)),)
            self.done.append(Unit(is_transaction=False, statements=[Statement(compiled.sql, rows, is_many=False)]))
        return await self._ask(prepared, values)

    def _begin(self, connection: Connection) -> None:
        if _is_heard.get():
            self._of(connection)

    def _of(self, connection: Connection) -> Unit:
        known = self._units.get(id(connection))
        if known is None:
            isolation = connection.get_execution_options().get("isolation_level")
            is_transaction = isolation != AUTOCOMMIT
            known = Unit(is_transaction, "repeatable_read" if isolation == "REPEATABLE READ" else None)
            self._units[id(connection)] = known
            self.done.append(known)
        return known

    def _execute(
        self, connection: Connection, cursor: Any, sql: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        if not _is_heard.get():
            return
        rows = [tuple(row) for row in parameters] if executemany else [tuple(parameters)]
        self._of(connection).statements.append(Statement(sql, tuple(map(_plain, rows)), executemany))

    def _end(self, connection: Connection) -> None:
        unit = self._units.pop(id(connection), None)
        if unit is not None:
            unit.writes = any(not one.sql.startswith(("SELECT", "BEGIN DEFERRED", "WITH")) for one in unit.statements)


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Enumerations as the strings that they are: drivers send those."""
    return tuple(str(value) if isinstance(value, str) else value for value in row)


@asynccontextmanager
async def _gateway(settings: Settings) -> AsyncGenerator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


async def record(settings: Settings, key: str) -> tuple[Recording, Recording]:
    """A submit and a poll of what it submitted, each after one that has warmed up whatever warms up."""
    async with (
        _gateway(settings) as app,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway", headers={"x-key": key}
        ) as client,
    ):
        database: Database = app.state.gateway.database
        await _ask(client, "POST", "/v1/flux-nano", json=BODY)
        submit_units, submitted = await _heard(database, client, "POST", "/v1/flux-nano", json=BODY)
        asked = {"id": submitted["id"]}
        await _ask(client, "GET", "/v1/get_result", params=asked)
        poll_units, polled = await _heard(database, client, "GET", "/v1/get_result", params=asked)
    return _recording(submit_units, submitted), _recording(poll_units, polled)


async def _heard(
    database: Database, client: httpx.AsyncClient, method: str, path: str, **rest: Any
) -> tuple[list[Unit], dict[str, Any]]:
    recorder, token = Recorder(database), _is_heard.set(True)
    try:
        answer = await _ask(client, method, path, **rest)
    finally:
        _is_heard.reset(token)
        recorder.close()
    return [unit for unit in recorder.done if unit.statements], answer


async def _ask(client: httpx.AsyncClient, method: str, path: str, **rest: Any) -> dict[str, Any]:
    answer = await client.request(method, path, **rest)
    answer.raise_for_status()
    return answer.json()


def _recording(units: Sequence[Unit], answer: dict[str, Any]) -> Recording:
    """With marks where a request's own identifiers stand: those of the rows that it inserts, and the key counted up for it."""
    made: dict[str, str] = {answer["id"]: "task"}
    marked: list[Unit] = []
    for unit in units:
        for statement in unit.statements:
            if statement.sql.startswith("INSERT INTO generation "):
                made[statement.rows[0][0]] = "generation"
        marked.append(replace(unit, statements=[_marked(statement, made) for statement in unit.statements]))
    return Recording(tuple(marked), answer)


def _marked(statement: Statement, made: dict[str, str]) -> Statement:
    rows = [tuple(MadeAnew(made[value]) if value in made else value for value in row) for row in statement.rows]
    if statement.sql.startswith("INSERT INTO ledger_entry "):
        rows = [(MadeAnew("ledger_transaction"), *row[1:]) for row in rows]
    counts_up = statement.sql.startswith("INSERT INTO ledger_transaction ")
    return replace(statement, rows=tuple(rows), returns="ledger_transaction" if counts_up else None)


def record_now(settings: Settings, key: str) -> tuple[Recording, Recording]:
    """For programs without a running loop."""
    return asyncio.run(record(settings, key))
