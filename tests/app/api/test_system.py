"""Liveness, readiness, metrics, and the way to the playground."""

import asyncio
from typing import Any

import pytest

from tests.fixtures.api import Api, Customer, RunApi
from tests.fixtures.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_a_gateway_alone_is_ready_at_once_and_says_that_it_is_alone(run_api: RunApi) -> None:
    alone = {"status": "degraded", "degraded": ["no worker is alive"]}
    async with run_api() as api:
        assert (await api.http.get("/livez")).json() == {"status": "ok"}
        answer = await api.http.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, alone)
        await api.install("flux-nano")
        assert (await api.http.get("/readyz")).json() == {"status": "ready", "degraded": []}
        api.clock.advance(api.parts.settings.queue.lease_s + 1)
        assert (await api.http.get("/readyz")).json() == alone


async def test_without_redis_a_gateway_is_ready_and_says_what_is_amiss(
    run_api: RunApi, redis_server: RedisServer
) -> None:
    async with run_api(redis={"url": redis_server.url}) as api:
        await api.install("flux-nano")
        assert await settles(api) == {"status": "ready", "degraded": []}
        redis_server.kill()
        assert await settles(api, "degraded") == {"status": "degraded", "degraded": ["Redis does not answer"]}
        redis_server.start()
        assert await settles(api) == {"status": "ready", "degraded": []}


async def settles(api: Api, status: str = "ready") -> dict[str, Any]:
    """Asks until readiness is so."""
    async with asyncio.timeout(20):
        while True:
            answer = await api.http.get("/readyz")
            assert answer.status_code == 200
            if answer.json()["status"] == status:
                return answer.json()
            await asyncio.sleep(0.01)


async def test_without_its_database_a_gateway_is_not_ready_and_names_no_place(api: Api) -> None:
    place = api.parts.settings.data_dir / "darkroom.sqlite3"
    await api.parts.database.engine.dispose()
    place.write_bytes(b"no database any more" * 512)
    for rest in place.parent.glob("darkroom.sqlite3-*"):
        rest.unlink()
    answer = await api.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the database does not answer"
    assert str(place.parent) not in answer.text
    assert (await api.http.get("/livez")).status_code == 200


async def test_where_a_worker_is_awaited_readiness_waits_for_one(run_api: RunApi) -> None:
    async with run_api(gateway={"await_worker": True}) as api:
        answer = await api.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["code"] == "unavailable"
        assert (await api.http.get("/livez")).status_code == 200
        await api.install("flux-nano")
        assert (await api.http.get("/readyz")).status_code == 200


async def test_a_worker_of_an_earlier_day_does_not_count(run_api: RunApi) -> None:
    async with run_api(gateway={"await_worker": True}) as api:
        api.clock.advance(-3600)
        await api.install("flux-nano")
        assert (await api.http.get("/readyz")).status_code == 503


async def test_metrics_are_prometheus_text(api: Api) -> None:
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "python_info" in answer.text


async def test_requests_submits_and_the_queue_are_counted(api: Api, ann: Customer) -> None:
    def value(name: str, text: str) -> float:
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)

    submitted = 'darkroom_generations_submitted_total{model="flux-nano"}'
    polls = 'darkroom_http_requests_total{route="/v1/get_result",status="404"}'
    lost = 'darkroom_http_requests_total{route="none",status="404"}'
    before = (await api.http.get("/metrics")).text
    await ann.submit()
    await ann.submit()
    await api.claim()
    await api.http.get("/v1/get_result?id=x")
    await api.http.get("/no/such/route")
    after = (await api.http.get("/metrics")).text
    assert value(submitted, after) == value(submitted, before) + 2
    assert value(polls, after) == value(polls, before) + 1
    assert value(lost, after) == value(lost, before) + 1
    assert value('darkroom_queue_generations{pool="default",priority="0"}', after) == 1
    assert 'route="/v1/flux-nano",status="200"' in after


async def test_the_root_leads_to_the_playground(api: Api) -> None:
    answer = await api.http.get("/")
    assert answer.status_code == 307
    assert answer.headers["location"] == "/playground/"
    assert "text/html" in (await api.http.get("/playground/")).headers["content-type"]
