"""SQLite's connections: how each is set up, and statements that run where they stand.

aiosqlite runs a connection on a thread of its own, and a trip there and back takes longer than most statements: longer still in a
worker, whose engine computes beside it. Only what may wait goes there: the beginning of a write, for other writers, and a
commit, for the disk. In WAL nothing else waits.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import aiosqlite
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_S = 30.0
SQLITE_BEGIN = "darkroom_sqlite_begin"
"""Execution option: the statement that begins a transaction."""
BEGIN_WRITE = "BEGIN IMMEDIATE"
_WAITING = frozenset({BEGIN_WRITE})
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
)


def open_sqlite(url: URL) -> AsyncEngine:
    """An engine on a file, whose folder is made if need be.

    Raises:
        ValueError: the address names no file.
    """
    if url.database is None or url.database in ("", ":memory:"):
        raise ValueError("the database is a file: processes share it")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_async_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "async_creator_fn": _connect})
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


class PromptConnection(aiosqlite.Connection):
    """A connection whose statements run where they stand, and whose waits do not."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # as SQLAlchemy asks of the connections that it makes itself
        self._on_thread: deque[None] = deque()
        """One for each call that the thread has not ended, waited for or not."""

    def cursor(self) -> "PromptCursor":  # pyright: ignore[reportIncompatibleMethodOverride]  # SQLAlchemy only enters it
        return PromptCursor(self)

    async def run(self, function: Callable[[sqlite3.Cursor], Any], *, may_wait: bool) -> "_Outcome":
        """One statement; its cursor is closed when its rows have been read.

        Args:
            function: executes it.
            may_wait: for other writers or for the disk.
        """
        if may_wait or self._on_thread:
            return await self._execute(self._run, function)  # pyright: ignore[reportUnknownMemberType]  # untyped there
        return self._run(function)

    def fetch(self, operation: str, parameters: Sequence[Any]) -> list[Any]:
        """The rows of a SELECT outside of any transaction, on a connection that nobody else uses. In WAL it waits for nobody."""
        return self._conn.execute(operation, parameters).fetchall()

    async def rollback(self) -> None:
        """Nothing waits here, unless a call that was given up goes on."""
        if self._on_thread:
            await super().rollback()
        else:
            self._conn.rollback()

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._on_thread.append(None)
        return await super()._execute(self._counted, fn, *args, **kwargs)  # pyright: ignore[reportUnknownMemberType]  # likewise

    def _counted(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            self._on_thread.pop()

    def _run(self, function: Callable[[sqlite3.Cursor], Any]) -> "_Outcome":
        cursor = self._conn.cursor()
        try:
            function(cursor)
            return _Outcome(cursor)
        finally:
            cursor.close()


class _Outcome:
    """What a statement answered: its rows, and what a cursor tells about them."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self.rows: list[Any] = cursor.fetchall() if cursor.description else []
        self.description = cursor.description
        self.rowcount = cursor.rowcount
        self.lastrowid = cursor.lastrowid


class PromptCursor:
    """As much of an asynchronous DB-API cursor as SQLAlchemy uses. Only the two executes reach the database."""

    arraysize = 1
    description: Any = None
    rowcount = -1
    lastrowid: int | None = None

    def __init__(self, connection: PromptConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, operation: str, parameters: Any = ()) -> None:
        await self._run(lambda cursor: cursor.execute(operation, parameters), may_wait=operation in _WAITING)

    async def executemany(self, operation: str, parameters: Iterable[Any]) -> None:
        await self._run(lambda cursor: cursor.executemany(operation, parameters), may_wait=False)

    async def fetchall(self) -> Sequence[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._rows = []

    async def _run(self, function: Callable[[sqlite3.Cursor], Any], *, may_wait: bool) -> None:
        outcome = await self._connection.run(function, may_wait=may_wait)
        self._rows, self.description = outcome.rows, outcome.description
        self.rowcount, self.lastrowid = outcome.rowcount, outcome.lastrowid


def _connect(database: str, **options: Any) -> PromptConnection:
    # For a file SQLAlchemy's options allow other threads than the maker's: ours and the loop's never use it at once.
    return PromptConnection(lambda: sqlite3.connect(database, **options))


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Leave transactions to us (the driver would begin them deferred, and late), and set what each connection needs."""
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3's own attribute, no part of the DB-API
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(SQLITE_BEGIN, "BEGIN DEFERRED"))
