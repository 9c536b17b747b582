"""What moderation blocks is a task like others that has ended: its reasons are told in each dialect, and it costs nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.api.openai.answers import Failure, failure_of
from app.api.webhook_bodies import webhook_body
from app.core import claims, ledger
from app.core.claims import settle_failed
from app.generations.repository import find_task
from tests.fixtures.api import BASE_URL, Api, Customer, RunApi
from tests.fixtures.classifier import ClassifierServer
from tests.fixtures.pictures import picture

pytestmark = pytest.mark.anyio

BLOCKED = "a nude figure on a beach"


async def test_a_blocked_request_polls_as_moderated_with_its_reasons_and_costs_nothing(api: Api, ann: Customer) -> None:
    task = await ann.submit(prompt=BLOCKED)
    polled = (await api.http.get(task["polling_url"])).json()
    assert (polled["status"], polled["result"], polled["cost"]) == ("Request Moderated", None, 0)
    assert polled["details"] == {"model": "flux-nano", "Moderation Reasons": ["Sexual Content"]}
    assert await ann.credits() == 100
    async with api.parts.database.read() as session:
        assert await ledger.verify(session) == []
        waits = await claims.has_work(session, "default", ["flux-nano"], api.clock.utc_now())
    assert not waits


async def test_a_tolerant_caller_is_served(api: Api, ann: Customer) -> None:
    task = await ann.submit(prompt=BLOCKED, safety_tolerance=6)
    assert (await api.http.get(task["polling_url"])).json()["status"] == "Pending"


async def test_openais_dialect_says_so_at_once(api: Api, ann: Customer) -> None:
    body = {"prompt": BLOCKED, "model": "flux-nano"}
    answer = await api.http.post("/v1/images/generations", json=body, headers=ann.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "moderation_blocked")
    assert answer.headers["x-should-retry"] == "false"
    assert await ann.credits() == 100


CONTENT = claims.Failed("content_moderated", "Gore; Logos", retryable=False, state="content_moderated")
WHY = "the picture was blocked by this service's moderation (Gore, Logos); nothing was charged"


async def ended_moderated(api: Api, ann: Customer, **body: Any) -> str:
    """A task whose picture was drawn and then refused, as a worker settles it."""
    task = await ann.submit(**body)
    claim = await api.claim()
    async with api.parts.database.write() as session:
        assert await settle_failed(session, *claim.held, CONTENT, api.clock.utc_now(), 3)
    return task["id"]


async def test_a_refused_picture_is_told_in_each_dialect_and_costs_nothing(api: Api, ann: Customer) -> None:
    task_id = await ended_moderated(api, ann)
    polled = (await api.http.get("/v1/get_result", params={"id": task_id}, headers=ann.headers)).json()
    assert (polled["status"], polled["result"], polled["cost"]) == ("Content Moderated", None, 0)
    assert polled["details"] == {"model": "flux-nano", "Moderation Reasons": ["Gore", "Logos"]}
    predicted = (await api.http.get(f"/v1/predictions/{task_id}", headers=ann.headers)).json()
    assert (predicted["status"], predicted["output"], predicted["error"]) == ("failed", None, f"moderated: {WHY}")
    own = (await api.http.get(f"/v1/tasks/{task_id}", headers=ann.headers)).json()
    assert (own["cost"], own["images"][0]["url"]) == (0, None)
    assert own["images"][0]["error"] == {"code": "moderated", "message": WHY}
    async with api.parts.database.read() as session:
        found = await find_task(session, task_id, api.clock.utc_now())
    assert found is not None
    assert failure_of(found) == Failure("moderated", WHY)
    told = json.loads(await webhook_body(api.parts, task_id, BASE_URL) or b"")
    assert (told["status"], told["details"]["Moderation Reasons"]) == ("Content Moderated", ["Gore", "Logos"])
    assert await ann.credits() == 100
    assert await api.breaches() == []


async def test_the_tolerance_goes_with_the_request_to_who_judges_its_picture(api: Api, ann: Customer) -> None:
    for sent, kept in ((None, 2), (0, 0), (5, 5)):
        await ann.submit(safety_tolerance=sent)
        assert (await api.claim()).spec.safety_tolerance == kept


@pytest.fixture
async def judged(run_api: RunApi) -> AsyncIterator[tuple[Api, Customer, ClassifierServer]]:
    """A gateway that has pictures judged by a service which objects to every second one."""
    service = ClassifierServer(lambda _: b'{"reasons": ["Faces"]}' if len(service.asked) % 2 == 0 else b"{}")
    async with service.running() as url, run_api(moderation={"picture_classifier_url": url}) as api:
        await api.install("flux-nano")
        yield api, await api.account(), service


async def test_pictures_that_were_sent_are_judged_before_anything_is_reserved(
    judged: tuple[Api, Customer, ClassifierServer],
) -> None:
    api, ann, service = judged
    task = await ann.submit(input_image=picture(64, 64), input_image_2=picture(80, 64), safety_tolerance=1)
    polled = (await api.http.get(task["polling_url"])).json()
    assert (polled["status"], polled["cost"]) == ("Request Moderated", 0)
    assert polled["details"]["Moderation Reasons"] == ["Faces"]
    assert [(one["role"], one["tolerance"]) for one in service.asked] == [("reference", 1)] * 2
    assert service.asked[0]["picture"] == picture(64, 64)
    assert await ann.credits() == 100
    passed = await ann.submit(input_image=picture(64, 64))
    assert (await api.http.get(passed["polling_url"])).json()["status"] == "Pending"
    assert await api.breaches() == []


async def test_pictures_that_nobody_can_judge_are_not_taken(run_api: RunApi) -> None:
    async with run_api(moderation={"picture_classifier_url": "http://127.0.0.1:1/"}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        refused = await ann.post(input_image=picture(64, 64))
        assert (refused.status_code, await ann.credits()) == (503, 100)
        assert (await ann.post()).status_code == 200
        assert [path for path in (api.parts.settings.data_dir / "objects").rglob("*") if path.is_file()] == []
