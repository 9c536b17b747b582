"""Statements that run where they stand: what a cursor answers, which trips to the thread are left, what a cancelled one leaves."""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.db.sqlite import BEGIN_WRITE, SQLITE_BEGIN, PromptConnection, open_sqlite

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connection(tmp_path: Path):
    engine = open_sqlite(make_url(f"sqlite+aiosqlite:///{tmp_path / 'trips.sqlite3'}"))
    async with engine.execution_options(**{SQLITE_BEGIN: BEGIN_WRITE}).connect() as connection:
        await connection.execute(text("CREATE TABLE fruit (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"))
        await connection.commit()
        yield connection
    await engine.dispose()


async def driver_of(connection: AsyncConnection) -> PromptConnection:
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, PromptConnection)
    return driver


async def test_rows_names_counts_and_keys_are_those_of_the_driver(connection: AsyncConnection) -> None:
    inserted = await connection.execute(text("INSERT INTO fruit (name) VALUES ('apple')"))
    await connection.execute(text("INSERT INTO fruit (name) VALUES (:name)"), [{"name": "pear"}, {"name": "fig"}])
    changed = await connection.execute(text("UPDATE fruit SET name = upper(name) WHERE id > 1"))
    found = await connection.execute(text("SELECT id, name FROM fruit ORDER BY id"))
    assert (inserted.lastrowid, changed.rowcount, list(found.keys())) == (1, 2, ["id", "name"])
    assert found.all() == [(1, "apple"), (2, "PEAR"), (3, "FIG")]


async def test_errors_are_the_drivers(connection: AsyncConnection) -> None:
    await connection.execute(text("INSERT INTO fruit (name) VALUES ('apple')"))
    with pytest.raises(IntegrityError, match="UNIQUE"):
        await connection.execute(text("INSERT INTO fruit (name) VALUES ('apple')"))
    with pytest.raises(OperationalError, match="no such table"):
        await connection.execute(text("SELECT * FROM stone"))
    assert (await connection.execute(text("SELECT count(*) FROM fruit"))).scalar_one() == 1


async def test_only_what_may_wait_crosses_to_the_thread(
    connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[Callable[..., Any]] = []
    driver = await driver_of(connection)
    execute = driver._execute

    async def counted(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        trips.append(function)
        return await execute(function, *arguments, **options)

    monkeypatch.setattr(driver, "_execute", counted)
    await connection.execute(text("INSERT INTO fruit (name) VALUES ('apple'), ('pear') RETURNING id"))
    (await connection.execute(text("SELECT * FROM fruit"))).all()
    await connection.commit()
    assert len(trips) == 2  # begin and commit
    await connection.execute(text("DELETE FROM fruit"))
    await connection.rollback()
    assert len(trips) == 3  # begin
    assert (await connection.execute(text("SELECT count(*) FROM fruit"))).scalar_one() == 2


async def test_a_statement_that_nobody_waits_for_any_more_is_rolled_back(connection: AsyncConnection) -> None:
    """The thread goes on with a cancelled statement; the rollback comes after it and undoes it."""
    driver = await driver_of(connection)
    reached, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait_on_the_thread() -> None:
        loop.call_soon_threadsafe(reached.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(timeout=10)

    await connection.execute(text("INSERT INTO fruit (name) VALUES ('apple')"))
    blocking = asyncio.create_task(driver._execute(functools.partial(wait_on_the_thread)))
    await reached.wait()
    inserting = asyncio.create_task(connection.execute(text("INSERT INTO fruit (name) VALUES ('pear')")))
    await asyncio.sleep(0)
    inserting.cancel()
    go_on.set()
    await blocking
    with contextlib.suppress(asyncio.CancelledError):
        await inserting
    await connection.rollback()
    assert (await connection.execute(text("SELECT count(*) FROM fruit"))).scalar_one() == 0
