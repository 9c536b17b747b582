"""Connections that lost their server while they lay idle are replaced before anybody notices."""

import pytest
from sqlalchemy import text

from app.core.db import postgresql
from app.core.db.engine import Database

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]

PID = text("SELECT pg_backend_pid()")


async def test_an_idle_connection_is_tried_and_replaced(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.write() as session:
        first = (await session.execute(PID)).scalar_one()
    other = Database.open(database_url)
    async with other.write() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})
    await other.close()

    monkeypatch.setattr(postgresql, "TRIED_AFTER_S", 0.0)
    async with database.write() as session:
        second = (await session.execute(PID)).scalar_one()
    async with database.write() as session:
        third = (await session.execute(PID)).scalar_one()
    assert first != second == third
