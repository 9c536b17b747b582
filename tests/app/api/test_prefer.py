"""How long an answer may wait, and that nobody is left waiting."""

import asyncio

import httpx
import pytest

from app.api.prefer import wait_s
from tests.fixtures.api import Api, Customer
from tests.fixtures.over_http import WITHIN_S, over_http, until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait", 60),
        ("wait=5", 5),
        ("Wait = 5", 5),
        ("a, wait=7", 7),
        ("wait=999", 60),
        ("wait=x", 0),
    ],
)
def test_seconds_to_wait(prefer: str | None, seconds: int) -> None:
    assert wait_s(prefer) == seconds


async def finish(api: Api) -> None:
    """As soon as there is something to draw and somebody waits for it."""
    await until(lambda: len(api.app.state.waiters) == 1)
    await api.finish(await api.claim())
    await api.app.state.waiters.look(api.parts.database)


async def test_a_submit_may_be_answered_with_its_result(api: Api, ann: Customer) -> None:
    headers = {**ann.headers, "prefer": "wait=30", "idempotency-key": "a"}
    asked = asyncio.create_task(api.http.post("/v1/flux-nano", json={"prompt": "a", "seed": 3}, headers=headers))
    await finish(api)
    answer = (await asked).json()
    assert (answer["status"], answer["cost"], answer["result"]["seed"]) == ("Ready", 0.1, 3)
    assert (await api.http.get(answer["result"]["sample"])).content == b"picture"
    assert (await asked).headers["preference-applied"] == "wait=30"
    again = await api.http.post("/v1/flux-nano", json={"prompt": "a", "seed": 3}, headers=headers)
    assert (again.json()["status"], again.headers["idempotent-replayed"]) == ("Ready", "true")
    assert (await api.http.get(answer["polling_url"])).json()["status"] == "Ready"
    assert (await ann.credits(), len(api.app.state.waiters)) == (99.9, 0)


async def test_an_unfinished_task_is_shown_as_it_is(api: Api, ann: Customer) -> None:
    answer = await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers={**ann.headers, "prefer": "wait=1"})
    assert (answer.json()["status"], answer.json()["result"]) == ("Pending", None)
    assert answer.json()["polling_url"].startswith("http")


async def test_whoever_hangs_up_waits_no_longer(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    async with over_http(api.app) as address, httpx.AsyncClient(trust_env=False, timeout=WITHIN_S) as http:
        path = f"{address}/v1/tasks/{task['id']}"
        asked = asyncio.create_task(http.get(path, headers={**ann.headers, "prefer": "wait=60"}))
        await until(lambda: len(api.app.state.waiters) == 1)
        asked.cancel()
        await until(lambda: len(api.app.state.waiters) == 0)
