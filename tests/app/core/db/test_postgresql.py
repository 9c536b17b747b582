"""Connections that lost their server while they lay idle are replaced, and nobody keeps a lock by falling silent."""

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from app.core.db import postgresql
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from tests.fixtures.accounts import MakeAccount

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


async def test_who_falls_silent_in_a_transaction_loses_its_locks_and_the_pool_goes_on(
    database: Database, database_url: str, make_account: MakeAccount
) -> None:
    account_id = await make_account(5)
    silent = Database.open(database_url)

    async def fall_silent() -> None:
        async with silent.write() as session:
            assert await session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "5s"
            await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
            await session.execute(update(Account).values(posted_micro=6))
            async with database.write() as other:  # waits for the lock of the silent one
                await other.execute(update(Account).values(posted_micro=Account.posted_micro + 1))
            await session.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError):
        await fall_silent()
    async with silent.read() as session:
        assert (await session.get_one(Account, account_id)).posted_micro == 6
    await silent.close()
