"""Connections: reading sessions see one snapshot, writing sessions commit on exit, the same on both databases.

SQLite runs in WAL with synchronous=FULL. A write begins with BEGIN IMMEDIATE and waits for its turn in this process first,
because SQLite's own busy wait is unfair. PostgreSQL writes at READ COMMITTED with guarded updates and reads at
REPEATABLE READ.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Self

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from app.core.db.asking import DriverError, PostgresqlAsker, SqliteAsker
from app.core.db.postgresql import open_postgresql
from app.core.db.prepared import Prepared
from app.core.db.sqlite import BEGIN_WRITE, SQLITE_BEGIN, open_sqlite


class Database:
    """One database and its connections. Made with `Database.open(url)`, given back with `close()`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        reading: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        writing: dict[str, Any] = {SQLITE_BEGIN: BEGIN_WRITE} if self.is_sqlite else {}
        self._asker = SqliteAsker(engine) if self.is_sqlite else PostgresqlAsker(engine)
        self._readers = async_sessionmaker(engine.execution_options(**reading), autoflush=False)
        self._writers = async_sessionmaker(engine.execution_options(**writing), expire_on_commit=False)
        self._turn = asyncio.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        """Connections are made at first use."""
        return cls(open_engine(url))

    async def ask(self, prepared: Prepared, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of one question. It sees one moment without a transaction, whose begin and end are trips of their own.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: as any statement does.
        """
        compiled = prepared.on(self.engine.dialect)
        try:
            found = await self._asker.fetch(compiled.sql, compiled.parameters(values))
        except DriverError:  # a connection may have lost its server: SQLAlchemy tries another, or says what is wrong
            async with self.read() as session:
                return [tuple(row) for row in await session.execute(prepared.statement, values)]
        return [compiled.row(row) for row in found]

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A session that sees one moment of the database and changes nothing."""
        async with self._readers() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """A transaction: committed on exit, rolled back on any error."""
        async with self._turn if self.is_sqlite else nullcontext(), self._writers() as session:
            yield session
            try:
                await session.commit()  # by hand: `begin()` would cost as much as a statement
            except BaseException:
                await session.rollback()  # a commit that fails leaves SQLite's transaction open
                raise

    async def close(self) -> None:
        await self._asker.close()
        await self.engine.dispose()


def open_engine(url: str) -> AsyncEngine:
    """An engine with this project's rules for its kind of database."""
    parsed = make_url(url)
    return open_sqlite(parsed) if parsed.get_backend_name() == "sqlite" else open_postgresql(parsed)
