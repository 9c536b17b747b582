"""The last use of a key: noted on the request path, written off it."""

import pytest

from app.auth.key_uses import KeyUses
from app.core.db.tables.api_key import ApiKey
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio


async def last_used(api: Api, customer: Customer) -> object:
    async with api.parts.database.read() as session:
        row = await session.get(ApiKey, customer.key_id)
    assert row is not None
    return row.last_used_at


async def test_many_uses_are_one_write(api: Api, ann: Customer) -> None:
    uses: KeyUses = api.app.state.key_uses
    assert await ann.credits() == 100
    api.clock.advance(5)
    assert await ann.credits() == 100
    assert await last_used(api, ann) is None
    await uses.write()
    assert await last_used(api, ann) == api.clock.utc_now()


async def test_a_gateway_that_closes_writes_what_is_left(run_api: RunApi) -> None:
    async with run_api() as api:
        ann = await api.account()
        await ann.credits()
        at = api.clock.utc_now()
    assert await last_used(api, ann) == at
    await api.parts.database.close()
