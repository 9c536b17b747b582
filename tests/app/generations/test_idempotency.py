"""The same request sent again: one job, one hold, one answer; another body is refused, and a refusal keeps nothing."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.core.db.tables.generation import Generation
from app.core.db.tables.idempotency_key import IdempotencyKey
from app.generations.sweeper import Sweeper
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio

KEY = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"


async def post(ann: Customer, key: str, model: str = "flux-nano", **body: Any) -> httpx.Response:
    headers = {**ann.headers, KEY: key}
    return await ann.api.http.post(f"/v1/{model}", json={"prompt": "a red apple", **body}, headers=headers)


async def count(api: Api, table: type[Generation] | type[IdempotencyKey]) -> int:
    async with api.parts.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_the_same_request_is_answered_the_same_to_the_byte(api: Api, ann: Customer) -> None:
    first = await post(ann, "a", seed=None)
    api.clock.advance(60)
    again = await post(ann, '"a"', width=None, ignored="x")
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["x-darkroom-model"] == first.headers["x-darkroom-model"] == "flux-nano"
    assert (first.headers.get(REPLAYED), again.headers[REPLAYED]) == (None, "true")
    assert await count(api, Generation) == 1
    assert await ann.credits() == 99.9
    assert await api.breaches() == []


async def test_another_body_is_refused_and_another_route_or_account_is_another_key(api: Api, ann: Customer) -> None:
    await api.install("flux-2-klein-4b")
    assert (await post(ann, "a")).status_code == 200
    other = await post(ann, "a", prompt="a green apple")
    assert other.status_code == 422
    assert "Idempotency-Key 'a'" in other.json()["message"]
    assert await count(api, Generation) == 1
    assert (await post(ann, "a", "flux-2-klein-4b")).status_code == 200
    bob = await api.account("bob")
    answer = await post(bob, "a")
    assert REPLAYED not in answer.headers
    assert await count(api, Generation) == 3


async def test_a_refusal_keeps_nothing_and_may_be_tried_again(api: Api) -> None:
    poor = await api.account("poor", credits=0)
    assert (await post(poor, "a")).status_code == 402
    assert (await post(poor, "a", prompt="")).status_code == 422
    assert (await post(poor, "b", "flux-2-pro")).status_code == 503
    assert await count(api, IdempotencyKey) == 0
    rich = await api.account("rich")
    assert (await post(rich, "a")).status_code == 200


async def test_a_key_is_forgotten_after_its_time(api: Api, ann: Customer) -> None:
    first = await post(ann, "a")
    api.clock.advance(api.parts.settings.results.idempotency_s - 1)
    assert (await post(ann, "a")).json() == first.json()
    api.clock.advance(1)
    second = await post(ann, "a", prompt="another")
    assert second.json()["id"] != first.json()["id"]
    api.clock.advance(api.parts.settings.results.idempotency_s)
    await Sweeper(api.parts).turn()
    assert await api.breaches() == []


async def test_a_replay_outlives_the_weights_the_credits_and_the_burst(run_api: RunApi) -> None:
    async with run_api(limits={"burst": 2, "submits_per_s": 0.001}) as api:
        await api.install("flux-nano")
        ann = await api.account(credits=1)
        first = await post(ann, "a", width=384, height=384)
        assert first.status_code == 200
        for _ in range(5):
            assert (await post(ann, "a", width=384, height=384)).content == first.content
        assert (await post(ann, "b")).status_code == 200
        assert (await post(ann, "c")).status_code == 429
        again = await post(ann, "a", width=384, height=384)
        assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
        assert (await post(ann, "a", prompt="a green apple")).status_code == 422
        assert (await post(ann, "c")).status_code == 429


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "a\tb", '""'])
async def test_a_key_that_cannot_be_kept_is_refused_with_the_limit(api: Api, ann: Customer, key: str) -> None:
    headers = [("x-key", ann.key), (KEY, key.encode("latin-1"))]
    answer = await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers=headers)  # type: ignore[arg-type]  # bytes pass
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["header", KEY]
    assert "1 to 255 printable ASCII" in answer.json()["message"]


async def test_two_keys_at_once_are_refused(api: Api, ann: Customer) -> None:
    headers = [("x-key", ann.key), (KEY, "a"), (KEY, "b")]
    answer = await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers=headers)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["header", KEY])


async def test_duplicates_at_once_make_one_job_on_either_database(run_api: RunApi, database_url: str) -> None:
    async with run_api(database={"url": database_url}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        answers = await asyncio.gather(*(post(ann, "a") for _ in range(50)))
        assert len({answer.content for answer in answers}) == 1
        assert sorted(answer.headers.get(REPLAYED, "") for answer in answers) == ["", *["true"] * 49]
        assert await count(api, Generation) == 1
        assert await ann.credits() == 99.9
        assert await api.breaches() == []
