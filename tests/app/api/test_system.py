"""Liveness, readiness, metrics, and the way to the playground."""

import pytest

from tests.fixtures.api import Api, RunApi

pytestmark = pytest.mark.anyio


async def test_a_gateway_alone_is_ready_at_once(api: Api) -> None:
    assert (await api.http.get("/livez")).json() == {"status": "ok"}
    assert (await api.http.get("/readyz")).json() == {"status": "ready"}


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


async def test_the_root_leads_to_the_playground(api: Api) -> None:
    answer = await api.http.get("/")
    assert answer.status_code == 307
    assert answer.headers["location"] == "/playground/"
    assert "text/html" in (await api.http.get("/playground/")).headers["content-type"]
