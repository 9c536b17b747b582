"""However a generation ends: what was delivered stays counted, against the key's limit and the free quota; nothing else does."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.auth.service import create_key
from app.core import claims
from app.core.claims import Failed
from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio

MODERATED = Failed("moderated", "x", retryable=False, state="content_moderated")
CRASHED = Failed("out_of_memory", "x", retryable=True)
Ending = Callable[[Api], Awaitable[None]]


async def change(api: Api, work: Callable[..., Awaitable[Any]], *values: Any) -> None:
    async with api.parts.database.write() as session:
        await work(session, *values)


async def delivered(api: Api) -> None:
    await api.finish(await api.claim())


async def moderated(api: Api) -> None:
    await change(api, claims.settle_failed, *(await api.claim()).held, MODERATED, api.clock.utc_now(), 3)


async def to_be_tried_again(api: Api) -> None:
    await change(api, claims.settle_failed, *(await api.claim()).held, CRASHED, api.clock.utc_now(), 3)


async def tried_too_often(api: Api) -> None:
    await change(api, claims.settle_failed, *(await api.claim()).held, CRASHED, api.clock.utc_now(), 1)


async def handed_back(api: Api) -> None:
    await change(api, claims.hand_back, [(await api.claim()).held], api.clock.utc_now())


async def cancelled(api: Api) -> None:
    claim = await api.claim()
    await change(api, claims.request_cancel, claim.task_id, api.clock.utc_now())
    await change(api, claims.settle_cancelled, *claim.held, api.clock.utc_now())


async def past_its_deadline(api: Api) -> None:
    api.clock.advance(api.parts.settings.queue.deadline_s)
    await change(api, claims.sweep, api.clock.utc_now(), 3)


ENDINGS: dict[Ending, bool] = {
    delivered: True,
    to_be_tried_again: True,
    handed_back: True,
    moderated: False,
    tried_too_often: False,
    cancelled: False,
    past_its_deadline: False,
}


async def customers(api: Api) -> tuple[Customer, Customer]:
    """One who pays with a limited key, and one on the free plan."""
    payer, guest = await api.account("payer"), await api.account("guest", credits=0)
    async with api.parts.database.write() as session:
        (await session.get_one(Account, guest.account_id)).plan = "free"
        secrets, now = api.parts.secrets, api.clock.utc_now()
        key = await create_key(session, payer.account_id, secrets, now, spending_limit_micro=10**6)
    return Customer(api, payer.account_id, key.id, key.token), guest


@pytest.mark.parametrize(
    ("ending", "counts"), ENDINGS.items(), ids=lambda value: getattr(value, "__name__", str(value))
)
async def test_only_what_was_delivered_or_may_be_stays_counted(
    run_api: RunApi, database_url: str, ending: Ending, counts: bool
) -> None:
    async with run_api(database={"url": database_url}) as api:
        await api.install("flux-nano")
        payer, guest = await customers(api)
        for customer in (payer, guest):
            await customer.submit(width=384, height=384)
            await ending(api)
            if ending in (to_be_tried_again, handed_back):
                await api.claim()
        async with api.parts.database.read() as session:
            assert (await session.get_one(ApiKey, payer.key_id)).spent_micro == (100_000 if counts else 0)
        me = (await api.http.get("/v1/account", headers=guest.headers)).json()
        assert [one["used"] for one in me["free"]] == [int(counts)] * 2
        assert await api.breaches() == []
