"""Connections: reading sessions see one snapshot, writing sessions commit on exit, the same on both databases.

SQLite runs in WAL with synchronous=FULL. A write begins with BEGIN IMMEDIATE and waits for its turn in this process first,
because SQLite's own busy wait is unfair. PostgreSQL writes at READ COMMITTED with guarded updates and reads at
REPEATABLE READ.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_S = 30.0
SQLITE_BEGIN = "darkroom_sqlite_begin"
_SQLITE_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
)


class Database:
    """One database and its connections. Made with `Database.open(url)`, given back with `close()`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        reading: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        writing: dict[str, Any] = {SQLITE_BEGIN: "BEGIN IMMEDIATE"} if self.is_sqlite else {}
        self._readers = async_sessionmaker(engine.execution_options(**reading), autoflush=False)
        self._writers = async_sessionmaker(engine.execution_options(**writing), expire_on_commit=False)
        self._turn = asyncio.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        """Connections are made at first use."""
        return cls(open_engine(url))

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A session that sees one moment of the database and changes nothing."""
        async with self._readers() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """A transaction: committed on exit, rolled back on any error."""
        if not self.is_sqlite:
            async with self._writers.begin() as session:
                yield session
            return
        async with self._turn, self._writers.begin() as session:
            yield session

    async def close(self) -> None:
        await self.engine.dispose()


def open_engine(url: str) -> AsyncEngine:
    """An engine with this project's rules for its kind of database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        # Our queries touch few rows: compiling one costs more than running it. Connecting takes a fifth less time, too.
        without_jit = {"server_settings": {"jit": "off"}}
        return create_async_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=10, connect_args=without_jit)
    _make_folder(parsed)
    engine = create_async_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _make_folder(url: URL) -> None:
    if url.database is None or url.database in ("", ":memory:"):
        raise ValueError("the database is a file: processes share it")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Leave transactions to us (the driver would begin them deferred, and late), and set what each connection needs."""
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3's own attribute, no part of the DB-API
    cursor = connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(SQLITE_BEGIN, "BEGIN DEFERRED"))
