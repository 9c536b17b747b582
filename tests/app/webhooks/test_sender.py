"""Webhooks through the API, to a real server that fails, hangs, hangs up, or is gone."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from app.api.webhook_bodies import webhook_body
from app.egress.client import Answered
from app.webhooks import outbox
from app.webhooks.schedule import DELAYS_S
from app.webhooks.sender import Sender
from tests.app.webhooks.receiver import Receiver
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio
LONGEST = 1.2


@dataclass
class Scene:
    api: Api
    ann: Customer
    receiver: Receiver
    sender: Sender

    async def send(self) -> None:
        await self.sender.turn()
        await self.sender.drain()

    async def ended(self, path: str, **fields: Any) -> str:
        url = f"http://127.0.0.1:{self.receiver.port}{path}"
        task = await self.ann.submit(webhook_url=url, **fields)
        assert (task["status"], task["webhook_url"]) == ("Pending", url)
        await self.send()
        assert self.receiver.asked == []
        await self.api.finish(await self.api.claim())
        return task["id"]

    async def log(self) -> dict[str, Any]:
        (one,) = (await self.api.http.get("/v1/webhooks", headers=self.ann.headers)).json()["webhooks"]
        return one


@pytest.fixture
async def scene(run_api: RunApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    async with running(run_api, monkeypatch) as opened:
        yield opened


@pytest.fixture
async def either(run_api: RunApi, monkeypatch: pytest.MonkeyPatch, database_url: str) -> AsyncIterator[Scene]:
    """The scene on SQLite, and on PostgreSQL."""
    async with running(run_api, monkeypatch, database={"url": database_url}) as opened:
        yield opened


@asynccontextmanager
async def running(run_api: RunApi, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[Scene]:
    monkeypatch.setattr("app.webhooks.sender.EVERY_S", 3600.0)  # the gateway's own sender stands still
    async with (
        Receiver().running() as receiver,
        run_api(egress={"private_hosts": ["127.0.0.1"], "ports": [receiver.port]}, **settings) as api,
    ):
        await api.install("flux-nano")
        sender = Sender(api.parts, webhook_body, within_s=2.0, random=Random(0))
        yield Scene(api, await api.account(), receiver, sender)
        await sender.close()


async def test_an_end_is_told_once_signed_with_the_request_s_secret(scene: Scene) -> None:
    task_id = await scene.ended("/200", webhook_secret="whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=")
    await scene.send()
    await scene.send()
    ((headers, body),) = scene.receiver.asked
    told = json.loads(body)
    assert (told["id"], told["task_id"], told["status"]) == (task_id, task_id, "Ready")
    assert (await scene.api.http.get(told["result"]["sample"])).content == b"picture"
    signed = scene.receiver.signature("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=")
    assert headers["webhook-signature"] == signed
    assert "c2VjcmV0" not in scene.api.logs.getvalue()
    log = await scene.log()
    assert (log["state"], log["attempts"][0]["status"]) == ("delivered", 200)


@pytest.mark.parametrize("path", ["/500", "/302", "/hang-up", "/hang"])
async def test_a_receiver_that_fails_is_asked_again_by_the_schedule_and_then_no_more(scene: Scene, path: str) -> None:
    task_id = await scene.ended(path)
    times = DELAYS_S[:2] if path == "/500" else DELAYS_S[:1]
    await scene.send()
    answer = await scene.api.http.get("/v1/get_result", params={"id": task_id}, headers=scene.ann.headers)
    assert answer.json()["status"] == "Ready"
    for number, delay_s in enumerate(times, start=1):
        assert len(scene.receiver.asked) == number
        scene.api.clock.advance(delay_s - 1)
        await scene.send()
        assert len(scene.receiver.asked) == number
        scene.api.clock.advance(delay_s * LONGEST - delay_s + 1)
        await scene.send()
    assert len(scene.receiver.asked) == len(times) + 1
    assert len({headers["webhook-id"] for headers, _ in scene.receiver.asked}) == 1
    assert len({body for _, body in scene.receiver.asked}) == 1
    log = await scene.log()
    assert (log["state"], len(log["attempts"])) == ("waiting", len(times) + 1)


async def test_one_that_is_gone_is_left_alone_until_its_owner_asks(either: Scene) -> None:
    await either.ended("/410")
    await either.send()
    either.api.clock.advance(1000)
    await either.send()
    assert len(either.receiver.asked) == 1
    log = await either.log()
    assert log["state"] == "ended"
    bob = await either.api.account("bob")
    path = f"/v1/webhooks/{log['id']}/redeliver"
    assert (await either.api.http.post(path, headers=bob.headers)).status_code == 404
    assert (await either.api.http.get("/v1/webhooks", headers=bob.headers)).json() == {"webhooks": []}
    assert (await either.api.http.post(path, headers=either.ann.headers)).status_code == 202
    await either.send()
    assert len(either.receiver.asked) == 2


async def test_an_account_s_own_secret_signs_and_both_do_for_a_day_after_a_rotation(either: Scene) -> None:
    path, headers = "/v1/webhooks/default/secret", either.ann.headers
    old = (await either.api.http.get(path, headers=headers)).json()["key"]
    told = (await either.api.http.post(path + "/rotate", headers=headers)).json()
    assert told["previous"] == old != told["key"]
    await either.ended("/200")
    await either.send()
    sent = either.receiver.asked[0][0]["webhook-signature"]
    assert sent == f"{either.receiver.signature(told['key'])} {either.receiver.signature(old)}"
    either.api.clock.advance(86_401)
    assert (await either.api.http.get(path, headers=headers)).json() == {"key": told["key"], "previous": None}


async def test_an_account_with_many_webhooks_keeps_nobody_waiting(either: Scene) -> None:
    url = f"http://127.0.0.1:{either.receiver.port}/200"
    bob = await either.api.account("bob")
    for owner in (either.ann, either.ann, either.ann, bob):
        await owner.submit(webhook_url=url)
        await either.api.finish(await either.api.claim())
        either.api.clock.advance(1)
    now = either.api.clock.utc_now()
    async with either.api.parts.database.read() as session:
        in_turn = await outbox.ripe(session, now, (), (), 2)
        without_ann = await outbox.ripe(session, now, (), (either.ann.account_id,), 9)
        without_first = await outbox.ripe(session, now, (in_turn[0].id,), (), 9)
    assert [one.account_id for one in in_turn] == [either.ann.account_id, bob.account_id]
    assert [one.id for one in without_ann] == [in_turn[1].id]
    assert len(without_first) == 3


async def test_nothing_inside_is_told_anything(run_api: RunApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.webhooks.sender.EVERY_S", 3600.0)
    async with Receiver().running() as receiver, run_api(egress={"ports": [receiver.port]}) as api:
        await api.install("flux-nano")
        sender = Sender(api.parts, webhook_body)
        scene = Scene(api, await api.account(), receiver, sender)
        await scene.ended("/200")
        await scene.send()
        assert receiver.num_connections == 0
        log = await scene.log()
        assert (log["state"], log["attempts"][0]["error"]) == ("ended", "the host is not on the public internet")
        await sender.close()


async def test_a_prediction_s_receiver_is_told_the_prediction_signed_with_the_account_s_secret(scene: Scene) -> None:
    url, http = f"http://127.0.0.1:{scene.receiver.port}/200", scene.api.http
    sent = {"version": "flux-nano", "input": {"prompt": "x"}, "webhook": url, "webhook_events_filter": ["completed"]}
    made = (await http.post("/v1/predictions", json=sent, headers=scene.ann.headers)).json()
    await scene.api.finish(await scene.api.claim())
    await scene.send()
    ((headers, body),) = scene.receiver.asked
    told = json.loads(body)
    seen = (await http.get(f"/v1/predictions/{made['id']}", headers=scene.ann.headers)).json()
    assert {**told, "output": None} == {**seen, "output": None}
    assert (told["status"], (await http.get(told["output"][0])).content) == ("succeeded", b"picture")
    key = (await http.get("/v1/webhooks/default/secret", headers=scene.ann.headers)).json()["key"]
    assert headers["webhook-signature"] == scene.receiver.signature(key)


async def test_a_prediction_s_webhook_that_would_never_be_told_is_refused(scene: Scene) -> None:
    url = f"http://127.0.0.1:{scene.receiver.port}/200"
    for sent, field in (
        ({"webhook": url, "webhook_events_filter": ["start", "output"]}, "webhook_events_filter"),
        ({"webhook": "ftp://example.com/"}, "webhook"),
        ({"webhook_completed": "http://example.com:1/"}, "webhook_completed"),
        ({"input": {"prompt": "x", "webhook_url": url}}, "webhook_url"),
    ):
        body = {"version": "flux-nano", "input": {"prompt": "x"}, **sent}
        refused = await scene.api.http.post("/v1/predictions", json=body, headers=scene.ann.headers)
        assert (refused.status_code, field in refused.json()["detail"]) == (422, True), refused.text


@pytest.mark.parametrize(
    ("url", "secret", "setting", "is_echoed"),
    [
        ("https://example.com/", "sesame", True, True),
        ("http://example.com/", "sesame", True, False),
        ("https://example.com/", "sesame", False, False),
        ("https://example.com/", "two\nlines", True, False),
        ("https://example.com/", None, True, False),
    ],
)
async def test_a_request_s_secret_is_echoed_where_nobody_can_read_it_on_the_way(
    run_api: RunApi, url: str, secret: str | None, setting: bool, is_echoed: bool
) -> None:
    async with run_api(webhooks={"echoes_secret": setting}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        sent = Recorded()
        sender = Sender(api.parts, webhook_body)
        sender._client = sent  # pyright: ignore[reportAttributeAccessIssue] - a door that leads nowhere
        await ann.submit(webhook_url=url, webhook_secret=secret)
        await api.finish(await api.claim())
        await sender.turn()
        await sender.drain()
        assert sent.headers.get("x-webhook-secret") == (secret if is_echoed else None)


class Recorded:
    """Keeps the headers of what would go out."""

    headers: Mapping[str, str]

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], within_s: float) -> Answered:
        self.headers = headers
        return Answered(200, b"")
