"""The leader lock on both databases: one holder, renewal, and succession."""

import asyncio
from datetime import timedelta

import pytest

from app.core.db.engine import Database
from app.core.leader import leads, try_lead
from tests.fixtures.accounts import EPOCH

pytestmark = pytest.mark.anyio

TTL_S = 10.0


async def lead(database: Database, holder: str, seconds: float = 0) -> bool:
    async with database.write() as session:
        return await try_lead(session, "sweeper", holder, EPOCH + timedelta(seconds=seconds), TTL_S)


async def test_the_lead_is_renewed_by_its_holder_and_taken_when_it_ends(database: Database) -> None:
    assert await lead(database, "a")
    assert not await lead(database, "b", 9)
    assert await lead(database, "a", 9)
    assert not await lead(database, "b", 18)
    assert await lead(database, "b", 19)
    assert not await lead(database, "a", 20)


async def test_one_of_many_leads(database: Database) -> None:
    answers = await asyncio.gather(*(lead(database, f"holder {number}") for number in range(8)))
    assert sum(answers) == 1


async def test_a_holder_knows_how_long_it_leads(database: Database) -> None:
    await lead(database, "a")
    async with database.read() as session:
        assert await leads(session, "sweeper", "a", EPOCH, TTL_S / 2)
        assert not await leads(session, "sweeper", "a", EPOCH, TTL_S)
        assert not await leads(session, "sweeper", "b", EPOCH, 0)
