"""A task's events over real HTTP: in order, resumed from their ids, and nothing left of whoever goes away."""

import asyncio
import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from app.api import events
from app.core.claims import Failed, settle_failed
from app.core.events.base import Done, Preview, Progress
from app.core.events.local import LocalEventClient, events_socket_path
from tests.fixtures.api import Api, Customer
from tests.fixtures.over_http import WITHIN_S, events_of, over_http, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def address(api: Api) -> AsyncIterator[str]:
    async with over_http(api.app) as url:
        yield url


@pytest.fixture
async def worker(api: Api) -> AsyncIterator[LocalEventClient]:
    """A worker's end of the bus."""
    end = LocalEventClient(events_socket_path(api.parts.settings), reconnect_s=0.01)
    await end.start()
    await until(lambda: end.is_connected)
    yield end
    await end.close()


def of(address: str, task: dict) -> str:
    return f"{address}/v1/tasks/{task['id']}/events"


async def look(api: Api) -> None:
    await api.app.state.watchers.look(api.parts.database)


async def test_a_task_from_its_place_in_the_queue_to_its_picture(
    api: Api, ann: Customer, address: str, worker: LocalEventClient
) -> None:
    first, task = await ann.submit(), await ann.submit()
    async with events_of(of(address, task), **ann.headers) as told:
        event = await anext(told)
        assert (event.name, event.data) == ("queued", {"index": 0, "position": 1})
        assert (await api.claim()).task_id == first["id"]
        await look(api)
        event = await anext(told)
        assert (event.name, event.data) == ("queued", {"index": 0, "position": 0})
        claim = await api.claim()
        worker.publish(Progress(claim.generation_id, 1, 4))
        assert [(await anext(told)).name for _ in range(2)] == ["running", "step"]
        worker.publish(Preview(claim.generation_id, 2, 4, b"jpeg"))
        event = await anext(told)
        assert (event.name, event.data["step"], event.data["num_steps"]) == ("preview", 2, 4)
        assert base64.b64decode(event.data["b64_json"]) == b"jpeg"
        await api.finish(claim)
        worker.publish(Done(claim.generation_id, task["id"], "ready"))
        event = await anext(told)
        assert (event.name, event.data["state"], event.data["price"]) == ("done", "ready", 0.1)
        assert [one async for one in told] == []
    assert (await api.http.get(event.data["url"])).content == b"picture"
    again = await api.http.get(f"/v1/tasks/{task['id']}/events", headers={**ann.headers, "Last-Event-ID": event.id})
    assert again.status_code == 204
    assert len(api.app.state.watchers) == 0


async def test_whoever_comes_back_hears_what_came_since_and_nothing_twice(
    api: Api, ann: Customer, address: str, worker: LocalEventClient
) -> None:
    task = await ann.submit()
    async with events_of(of(address, task), **ann.headers) as told:
        claim = await api.claim()
        worker.publish(Progress(claim.generation_id, 1, 4))
        event = await anext(told)
        while event.name != "step":
            event = await anext(told)
    await until(lambda: len(api.app.state.watchers) == 0)
    worker.publish(Progress(claim.generation_id, 3, 4))
    await until(lambda: api.app.state.progress.fraction(claim.generation_id) == 0.75)
    async with events_of(of(address, task), **ann.headers, **{"Last-Event-ID": event.id}) as told:
        event = await anext(told)
        assert (event.name, event.data["step"]) == ("step", 3)
        now = api.clock.utc_now()
        async with api.parts.database.write() as session:
            failed = Failed("no_output", "why", retryable=False)
            await settle_failed(session, claim.generation_id, claim.attempt, failed, now, 1)
        await look(api)
        event = await anext(told)
    assert (event.name, event.data["error"]) == ("failed", {"code": "no_output", "message": "why"})


async def test_several_images_end_one_by_one_and_an_id_knows_which(api: Api, ann: Customer, address: str) -> None:
    body = {"prompt": "a", "n": 2, "stream": True}
    async with httpx.AsyncClient(trust_env=False, timeout=WITHIN_S) as http:
        asked = asyncio.create_task(http.post(f"{address}/v1/images/generations", json=body, headers=ann.headers))
        claims = []

        async def claimed() -> None:
            while len(claims) < 2:
                try:
                    claims.append(await api.claim())
                except IndexError:
                    await asyncio.sleep(0.005)

        await asyncio.wait_for(claimed(), WITHIN_S)
        task = {"id": claims[0].task_id}
        async with events_of(of(address, task), **ann.headers) as told:
            assert [(await anext(told)).data["index"] for _ in range(2)] == [0, 1]
            await api.finish(claims[1])
            await look(api)
            event = await anext(told)
            assert (event.name, event.data["index"]) == ("done", 1)
        async with events_of(of(address, task), **ann.headers, **{"Last-Event-ID": event.id}) as told:
            await api.finish(claims[0])
            await look(api)
            assert [(one.name, one.data["index"]) async for one in told] == [("done", 0)]
        await api.app.state.waiters.look(api.parts.database)
        assert (await asked).status_code == 200


async def test_a_client_that_hangs_up_leaves_nothing_behind(
    api: Api, ann: Customer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.01)
    task = await ann.submit()
    watchers = api.app.state.watchers
    async with (
        asyncio.timeout(WITHIN_S),
        httpx.AsyncClient(trust_env=False, timeout=WITHIN_S) as http,
        http.stream("GET", of(address, task), headers=ann.headers) as answer,
    ):
        async for line in answer.aiter_lines():
            if line == ":":  # a heartbeat is a comment
                break
        assert len(watchers) == 1
    await until(lambda: len(watchers) == 0)
    assert vars(watchers)["_tasks"] == vars(watchers)["_task_of"] == {}
    assert (await api.http.get(f"/v1/tasks/{task['id']}", headers=ann.headers)).json()["state"] == "queued"


async def test_anothers_task_and_none_are_not_there(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    bob = await api.account("bob")
    for path in (f"/v1/tasks/{task['id']}/events", "/v1/tasks/none/events"):
        answer = await api.http.get(path, headers=bob.headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await api.http.get(f"/v1/tasks/{task['id']}/events")).status_code == 401
