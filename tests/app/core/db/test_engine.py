"""Sessions on both databases: what a reader sees, what a failed writer leaves, and how SQLite is set up."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import event, func, select, text, update
from sqlalchemy.exc import StatementError

from app.core.db.engine import Database
from app.core.db.tables.account import Account
from tests.fixtures.accounts import MakeAccount

pytestmark = pytest.mark.anyio


async def count(database: Database) -> int:
    async with database.read() as session:
        return (await session.scalars(select(func.count()).select_from(Account))).one()


async def test_a_reader_sees_one_moment(database: Database, make_account: MakeAccount) -> None:
    await make_account()
    counting = select(func.count()).select_from(Account)
    async with database.read() as session:
        before = (await session.scalars(counting)).one()
        await make_account()
        after = (await session.scalars(counting)).one()
    assert (before, after, await count(database)) == (1, 1, 2)


async def test_a_failed_writer_leaves_nothing(database: Database, make_account: MakeAccount) -> None:
    account_id = await make_account(5)

    async def write_and_fail() -> None:
        async with database.write() as session:
            await session.execute(update(Account).values(posted_micro=6))
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await write_and_fail()
    async with database.read() as session:
        assert (await session.get_one(Account, account_id)).posted_micro == 5


async def test_a_cancelled_writer_leaves_nothing_and_lets_the_next_one_in(
    database: Database, make_account: MakeAccount
) -> None:
    account_id = await make_account(5)
    written = asyncio.Event()

    async def write_and_wait() -> None:
        async with database.write() as session:
            await session.execute(update(Account).values(posted_micro=6))
            written.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(write_and_wait())
    await written.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    async with database.write() as session:
        await session.execute(update(Account).values(posted_micro=Account.posted_micro + 1))
    async with database.read() as session:
        assert (await session.get_one(Account, account_id)).posted_micro == 6


async def test_writers_of_two_processes_do_not_lose_updates(
    database: Database, database_url: str, make_account: MakeAccount
) -> None:
    account_id = await make_account(0)
    other = Database.open(database_url)

    async def add_one(target: Database) -> None:
        async with target.write() as session:
            await session.execute(update(Account).values(posted_micro=Account.posted_micro + 1))

    await asyncio.gather(*(add_one(target) for _ in range(10) for target in (database, other)))
    await other.close()
    async with database.read() as session:
        assert (await session.get_one(Account, account_id)).posted_micro == 20


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_sqlite_is_durable_and_checks_foreign_keys(database: Database) -> None:
    async with database.read() as session:
        pragmas = [
            (await session.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 2, 1, 30_000]


async def test_moments_come_back_in_utc(database: Database) -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    async with database.write() as session:
        session.add(Account(id="a", name="a", created_at=moment))
    async with database.read() as session:
        stored = (await session.get_one(Account, "a")).created_at
    assert stored == moment
    assert stored.tzinfo is UTC


async def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="no time zone"):
        async with database.write() as session:
            session.add(Account(id="a", name="a", created_at=datetime(2026, 3, 1)))


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="processes share it"):
        Database.open("sqlite+aiosqlite:///:memory:")


async def test_a_commit_that_fails_leaves_nothing_and_lets_the_next_one_in(
    database: Database, make_account: MakeAccount
) -> None:
    account_id = await make_account(5)

    def fail(_: object) -> None:
        raise RuntimeError("the disk is full")

    async def write() -> None:
        async with database.write() as session:
            await session.execute(update(Account).values(posted_micro=6))

    event.listen(database.engine.sync_engine, "commit", fail)
    try:
        with pytest.raises(RuntimeError, match="the disk is full"):
            await write()
    finally:
        event.remove(database.engine.sync_engine, "commit", fail)
    async with database.write() as session:
        await session.execute(update(Account).values(posted_micro=Account.posted_micro + 1))
    async with database.read() as session:
        assert (await session.get_one(Account, account_id)).posted_micro == 6
