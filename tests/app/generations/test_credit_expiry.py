"""Credits whose time is over leave the account by an entry of their own, by one gateway, once."""

from datetime import timedelta

import pytest

from app.core import ledger
from app.generations.sweeper import Sweeper
from tests.fixtures.api import MICRO, Api, Customer

pytestmark = pytest.mark.anyio


async def test_the_sweeper_ends_what_is_left_and_what_comes_back_later(api: Api, ann: Customer) -> None:
    now = api.clock.utc_now()
    async with api.parts.database.write() as session:
        ends = now + timedelta(seconds=60)
        await ledger.credit(session, ann.account_id, MICRO, "free", None, "a", "gift", now, expires_at=ends)
    await ann.submit()
    assert await ann.credits() == 100.9
    api.clock.advance(61)
    sweeper = Sweeper(api.parts)
    await sweeper.turn()
    await sweeper.turn()
    assert await ann.credits() == 100
    api.clock.advance(api.parts.settings.queue.deadline_s)
    await sweeper.turn()
    await sweeper.turn()
    assert await ann.credits() == 100
    assert await api.breaches() == []
