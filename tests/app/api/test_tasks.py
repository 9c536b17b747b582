"""Tasks as their owner sees them: listed page by page, waited for, cancelled and deleted, with the money right each time."""

import asyncio

import pytest

from app.core.events.base import Cancel
from app.generations.sweeper import Sweeper
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio


async def read(ann: Customer, task_id: str, **headers: str) -> dict:
    answer = await ann.api.http.get(f"/v1/tasks/{task_id}", headers={**ann.headers, **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_task_tells_its_times_its_price_and_its_picture(api: Api, ann: Customer) -> None:
    task = await ann.submit(seed=7, width=128, height=128)
    before = await read(ann, task["id"])
    assert (before["state"], before["cost"], before["images"][0]["url"]) == ("queued", 0.1, None)
    assert before["request"] == {"prompt": "a red apple", "seed": 7, "width": 128, "height": 128}
    api.clock.advance(3)
    await api.finish(await api.claim(), b"picture")
    after = await read(ann, task["id"])
    image = after["images"][0]
    assert (after["state"], image["state"], image["seed"], image["attempts"]) == ("ready", "ready", 7, 1)
    assert image["queued_at"] < image["finished_at"]
    assert sum(line["micro"] for line in image["breakdown"]) == 100_000
    assert (await api.http.get(image["url"])).content == b"picture"


async def test_a_queued_task_tells_how_many_go_first_and_for_how_long(api: Api, ann: Customer) -> None:
    await ann.submit()
    second = await ann.submit()
    assert (await read(ann, second["id"]))["queue"] == {"position": 1, "wait_s": None}
    claim = await api.claim()
    api.clock.advance(3)
    await api.finish(claim)
    assert (await read(ann, second["id"]))["queue"] == {"position": 0, "wait_s": 0.0}
    third = await ann.submit()
    assert (await read(ann, third["id"]))["queue"] == {"position": 1, "wait_s": pytest.approx(3.0)}
    await api.claim()
    assert (await read(ann, second["id"]))["queue"] is None


async def test_pages_follow_each_other_and_leave_nothing_out(api: Api, ann: Customer) -> None:
    await api.install("flux-2-klein-4b")
    ids = [(await ann.submit())["id"] for _ in range(4)] + [(await ann.submit("flux-2-klein-4b"))["id"]]
    found: list[str] = []
    cursor = ""
    while True:
        page = (await api.http.get(f"/v1/tasks?limit=2&cursor={cursor}", headers=ann.headers)).json()
        found += [task["id"] for task in page["tasks"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert sorted(found) == sorted(ids)
    assert len(found) == len(ids)
    of_klein = (await api.http.get("/v1/tasks?model=flux-2-klein-4b", headers=ann.headers)).json()
    assert [task["id"] for task in of_klein["tasks"]] == ids[4:]
    others = await (await api.account("bob")).api.http.get("/v1/tasks", headers=(await api.account("eve")).headers)
    assert others.json() == {"tasks": [], "next": None}


@pytest.mark.parametrize("cursor", ["x", "1~2", "-1~" + "0" * 36])
async def test_a_cursor_of_no_page_is_refused(api: Api, ann: Customer, cursor: str) -> None:
    answer = await api.http.get("/v1/tasks", params={"cursor": cursor}, headers=ann.headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_what_waits_is_cancelled_at_once_and_given_back(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    assert await ann.credits() == 99.9
    for _ in range(2):
        answer = await api.http.post(f"/v1/tasks/{task['id']}/cancel", headers=ann.headers)
        assert (answer.status_code, answer.json()["state"], answer.json()["cost"]) == (200, "cancelled", 0)
    assert await ann.credits() == 100
    assert await api.breaches() == []


async def test_what_runs_is_told_to_stop(api: Api, ann: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(api.parts.events, "publish", told.append)
    task = await ann.submit()
    claim = await api.claim()
    answer = await api.http.post(f"/v1/tasks/{task['id']}/cancel", headers=ann.headers)
    assert answer.json()["state"] == "running"
    assert told[-1] == Cancel(claim.generation_id)


async def test_an_ended_task_is_deleted_with_its_pictures_and_the_money_stays(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    path = f"/v1/tasks/{task['id']}"
    assert (await api.http.delete(path, headers=ann.headers)).status_code == 409
    claim = await api.claim()
    await api.finish(claim)
    url = (await read(ann, task["id"]))["images"][0]["url"]
    assert (await api.http.delete(path, headers=ann.headers)).status_code == 204
    assert (await api.http.get(path, headers=ann.headers)).status_code == 404
    api.clock.advance(60)  # another may lead now
    await Sweeper(api.parts).turn()
    assert (await api.http.get(url)).status_code == 404
    assert await ann.credits() == 99.9
    assert await api.breaches() == []


async def test_a_look_may_wait_for_the_end(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    waiting = asyncio.create_task(read(ann, task["id"], prefer="respond-async, wait=30"))
    await api.finish(await api.claim())
    api.app.state.waiters.wake(task["id"])
    assert (await waiting)["state"] == "ready"
    assert len(api.app.state.waiters) == 0


async def test_keys_without_the_right_see_and_change_nothing(run_api: RunApi) -> None:
    async with run_api() as api:
        answer = await api.http.get("/v1/tasks")
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
