"""Admission under races, on both databases: whatever is counted, exactly so many of many submits at once are accepted."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.auth.service import create_key
from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio

AT_ONCE = 12


@pytest.fixture
def gateway(run_api: RunApi, database_url: str):
    """Runs a gateway on either database, with flux-nano."""

    @asynccontextmanager
    async def run(**settings: Any):
        async with run_api(database={"url": database_url}, **settings) as api:
            await api.install("flux-nano")
            yield api

    return run


async def at_once(customer: Customer, count: int = AT_ONCE, **body: Any) -> Counter[int]:
    return Counter(one.status_code for one in await asyncio.gather(*(customer.post(**body) for _ in range(count))))


async def put_on(api: Api, customer: Customer, plan: str) -> None:
    async with api.parts.database.write() as session:
        (await session.get_one(Account, customer.account_id)).plan = plan


async def test_exactly_as_many_tasks_as_the_limit_are_under_way(gateway) -> None:
    async with gateway(limits={"active": 5}) as api:
        ann = await api.account()
        assert await at_once(ann) == {200: 5, 429: AT_ONCE - 5}
        refused = await ann.post()
        assert (refused.headers["retry-after"], "5 tasks are unfinished" in refused.json()["detail"]) == ("1", True)
        await api.finish(await api.claim())
        assert await at_once(ann, 3) == {200: 1, 429: 2}
        assert await api.breaches() == []


async def test_a_model_may_have_a_limit_of_its_own(gateway) -> None:
    async with gateway(limits={"active_by_model": {"flux-2-pro": 2}}, aliases={"flux-2-pro": "flux-nano"}) as api:
        ann = await api.account()
        small = {"width": 128, "height": 128}
        assert await at_once(ann, 4, model="flux-2-pro", **small) == {200: 2, 429: 2}
        refused = await ann.post("flux-2-pro", **small)
        assert "2 tasks of flux-2-pro are unfinished" in refused.json()["message"]
        assert (await ann.post()).status_code == 200


async def test_exactly_as_many_free_images_as_the_quota_are_accepted(gateway) -> None:
    async with gateway(free={"images_per_day": 5, "active": 24}) as api:
        ann = await api.account(credits=0)
        await put_on(api, ann, "free")
        assert await at_once(ann) == {200: 5, 429: AT_ONCE - 5}
        assert "they renew at" in (await ann.post()).json()["message"]
        assert await api.breaches() == []


async def test_a_key_spends_exactly_up_to_its_limit(gateway) -> None:
    async with gateway() as api:
        ann = await api.account()
        async with api.parts.database.write() as session:
            now = api.clock.utc_now()
            key = await create_key(session, ann.account_id, api.parts.secrets, now, spending_limit_micro=500_000)
        limited = Customer(api, ann.account_id, key.id, key.token)
        assert await at_once(limited, width=384, height=384) == {200: 5, 402: AT_ONCE - 5}
        async with api.parts.database.read() as session:
            assert (await session.get_one(ApiKey, key.id)).spent_micro == 500_000
        refused: httpx.Response = await limited.post(width=384, height=384)
        assert "0.5 credits of 0.5 credits" in refused.json()["message"]
        assert (await ann.post()).status_code == 200
        assert await api.breaches() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_free_account_with_credits_pays_for_what_is_not_free(gateway) -> None:
    async with gateway(free={"images_per_day": 1, "max_pixels": 128 * 128}) as api:
        ann = await api.account(credits=1)
        await put_on(api, ann, "free")
        costs = [(await ann.submit(width=side, height=128))["cost"] for side in (144, 128, 128)]
        assert costs == [0.1, 0, 0.1]
        poor = await api.account("poor", credits=0)
        await put_on(api, poor, "free")
        too_large = await poor.post(width=144, height=128)
        assert (too_large.status_code, "free images are all models" in too_large.json()["message"]) == (402, True)
        assert await api.breaches() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_paid_goes_before_what_is_free(gateway) -> None:
    async with gateway() as api:
        ann, bob = await api.account("ann", credits=0), await api.account("bob")
        await put_on(api, ann, "free")
        free, paid = await ann.submit(), await bob.submit()
        assert [(await api.claim()).task_id for _ in range(2)] == [paid["id"], free["id"]]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_weights_without_a_worker_are_named_before_any_quota(gateway) -> None:
    async with gateway(limits={"active": 1}) as api:
        ann = await api.account()
        await ann.submit()
        assert (await ann.post("flux-2-dev")).status_code == 503
        assert (await ann.post()).status_code == 429
