"""PostgreSQL's connections: how each is set up, and when one is tried before it is used."""

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

TRIED_AFTER_S = 1.0
"""A connection that lay idle so long may have lost its server. Trying each at every use costs a trip for each transaction."""

_SESSION = {
    # Our queries touch few rows: compiling one costs more than running it. Connecting takes a fifth less time, too.
    "jit": "off",
    # A process that is stopped inside a transaction keeps its locks; no lease outlives it if others wait for them.
    "idle_in_transaction_session_timeout": "5s",
}

_USED_AT = "darkroom_used_at_s"


def open_postgresql(url: URL) -> AsyncEngine:
    """An engine whose idle connections are tried before use; connections are made at first use."""
    engine = create_async_engine(url, pool_size=10, max_overflow=10, connect_args={"server_settings": _SESSION})
    _try_idle_connections(engine.sync_engine)
    return engine


def _try_idle_connections(engine: Engine) -> None:
    def note_the_time(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    def try_it(connection: DBAPIConnection, record: ConnectionPoolEntry, _: Any) -> None:
        if time.monotonic() - record.info.get(_USED_AT, float("inf")) > TRIED_AFTER_S and not _answers(connection):
            raise InvalidatePoolError  # the pool drops what is as old as this one, and connects anew

    def _answers(connection: DBAPIConnection) -> bool:
        try:
            return engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            return False

    event.listen(engine, "checkin", note_the_time)
    event.listen(engine, "checkout", try_it)
