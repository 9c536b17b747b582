"""Prepared statements inside a transaction, straight to its driver.

Where the transaction has not begun at the driver yet (SQLAlchemy begins PostgreSQL's with its first statement), or somebody listens to
SQLAlchemy's events, SQLAlchemy sends the statement itself: the same text with the same values.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.util import await_only

from app.core.db.prepared import Compiled, Prepared
from app.core.db.sqlite import PromptConnection

Values = Mapping[str, Any]
Found = Sequence[Sequence[Any]]


class _Asyncpg(Protocol):
    """As much of asyncpg's connection as is used."""

    def is_in_transaction(self) -> bool: ...

    def fetch(self, query: str, *values: Any) -> Awaitable[Found]: ...

    def executemany(self, command: str, args: Sequence[tuple[Any, ...]]) -> Awaitable[None]: ...


def run(connection: Connection, prepared: Prepared, values: Values) -> list[tuple[Any, ...]]:
    """Send one statement; its rows. For code that SQLAlchemy runs beside the event loop (`run_sync`).

    Raises:
        sqlalchemy.exc.IntegrityError, sqlalchemy.exc.OperationalError: as the database refuses it.
    """
    send = _driver_of(connection)
    if send is None:
        result = connection.execute(prepared.statement, values)
        return [tuple(row) for row in result] if result.returns_rows else []
    compiled = prepared.on(connection.dialect)
    return [compiled.row(row) for row in send(compiled, [compiled.parameters(values)], False)]


def run_many(connection: Connection, prepared: Prepared, rows: Sequence[Values]) -> None:
    """Send a statement that answers nothing once for each of these rows."""
    send = _driver_of(connection)
    if send is None:
        connection.execute(prepared.statement, rows)
        return
    compiled = prepared.on(connection.dialect)
    send(compiled, [compiled.parameters(row) for row in rows], True)


_Send = Callable[[Compiled, list[tuple[Any, ...]], bool], Found]


def _driver_of(connection: Connection) -> _Send | None:
    """How to send past SQLAlchemy; None where that must not be."""
    if connection.dispatch.before_cursor_execute:
        return None
    return _SENDING[connection.dialect.name](connection.connection.driver_connection)


def _sqlite(driver: Any) -> _Send | None:
    sending = cast("PromptConnection", driver)

    def send(compiled: Compiled, rows: list[tuple[Any, ...]], is_many: bool) -> Found:
        sql = compiled.sql
        try:
            if is_many:
                return await_only(sending.run(lambda cursor: cursor.executemany(sql, rows), may_wait=False)).rows
            return await_only(sending.run(lambda cursor: cursor.execute(sql, rows[0]), may_wait=False)).rows
        except sqlite3.Error as error:
            raise _told(sql, error, isinstance(error, sqlite3.IntegrityError)) from error

    return send if sending.in_transaction else None


def _postgresql(driver: Any) -> _Send | None:
    # Loaded with the engine; embedded services do without.
    from asyncpg import (  # pyright: ignore[reportMissingTypeStubs]  # it has none
        IntegrityConstraintViolationError,
        InterfaceError,
        PostgresError,
    )

    sending = cast("_Asyncpg", driver)

    def send(compiled: Compiled, rows: list[tuple[Any, ...]], is_many: bool) -> Found:
        try:
            if is_many:
                await_only(sending.executemany(compiled.sql, rows))
                return ()
            return await_only(sending.fetch(compiled.sql, *rows[0]))
        except (PostgresError, InterfaceError, OSError) as error:
            raise _told(compiled.sql, error, isinstance(error, IntegrityConstraintViolationError)) from error

    return send if sending.is_in_transaction() else None


_SENDING: Final[dict[str, Callable[[Any], _Send | None]]] = {"sqlite": _sqlite, "postgresql": _postgresql}


def _told(sql: str, error: Exception, is_refused: bool) -> SQLAlchemyError:
    """The driver's error as SQLAlchemy would have told it."""
    return (IntegrityError if is_refused else OperationalError)(sql, None, error)
