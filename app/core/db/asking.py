"""How a single question reaches each driver: through a connection of SQLAlchemy's pool, and without its transactions."""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol, cast

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from app.core.db.sqlite import PromptConnection


class DriverError(Exception):
    """The driver's own error, which is its cause."""


class _Fetching(Protocol):
    """As much of asyncpg's connection as is used."""

    async def fetch(self, query: str, *values: Any) -> list[Sequence[Any]]: ...


class SqliteAsker:
    """One connection for all questions: none waits for anything, so none of them meets another."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._opening = asyncio.Lock()
        self._connection: PoolProxiedConnection | None = None

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        connection = self._connection or await self._open()
        try:
            return cast("PromptConnection", connection.driver_connection).fetch(sql, parameters)
        except sqlite3.Error as error:
            raise DriverError from error

    async def _open(self) -> PoolProxiedConnection:
        async with self._opening:
            if self._connection is None:
                self._connection = await greenlet_spawn(self._engine.sync_engine.raw_connection)
            return self._connection

    async def close(self) -> None:
        """Give the connection back: the pool closes it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await greenlet_spawn(connection.close)


class PostgresqlAsker:
    """Any connection of the pool, for as long as one question takes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return await greenlet_spawn(self._fetch, sql, parameters)

    def _fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Sequence[Any]]:
        # Loaded with the engine; embedded services do without.
        from asyncpg import InterfaceError, PostgresError  # pyright: ignore[reportMissingTypeStubs]  # it has none

        connection = self._engine.sync_engine.raw_connection()
        try:
            return await_only(cast("_Fetching", connection.driver_connection).fetch(sql, *parameters))
        except (PostgresError, InterfaceError, OSError) as error:
            connection.invalidate()
            raise DriverError from error
        finally:
            connection.close()

    async def close(self) -> None:
        """Nothing is kept."""
