"""Submit, poll and balance, as BFL's clients speak them."""

import re
import uuid
from typing import Any, Literal

import httpx
import pytest
from sqlalchemy import select

from app.core import claims
from app.core.claims import Failed
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.events.base import Progress
from app.core.spec import GenerationSpec
from tests.fixtures.api import BASE_URL, Api, Customer, RunApi
from tests.fixtures.pictures import least_body

pytestmark = pytest.mark.anyio

CLASSIC = {"id", "status", "result", "progress", "details", "preview", "cost"}


async def poll(api: Api, task: dict[str, str]) -> dict[str, Any]:
    answer = await api.http.get(task["polling_url"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["retry-after"] == "1"
    assert set(answer.json()) == CLASSIC
    return answer.json()


async def test_a_submit_answers_in_bfls_shape_and_names_what_runs(ann: Customer) -> None:
    answer = await ann.post(seed=7, x_unknown=[1, 2], aspect_ratio="1:1", input_image=None, webhook_url="")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"id", "polling_url", "cost", "input_mp", "output_mp"}
    assert str(uuid.UUID(body["id"], version=4)) == body["id"]
    assert body["polling_url"].startswith(f"{BASE_URL}/v1/get_result?id={body['id']}&")
    assert (body["cost"], body["input_mp"], body["output_mp"]) == (0.1, 0.0, 0.02)
    assert answer.headers["x-darkroom-model"] == "flux-nano"
    assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_a_task_is_pending_then_ready_and_charged_once(api: Api, ann: Customer) -> None:
    task = await ann.submit(seed=7, output_format="png")
    assert await ann.credits() == 99.9
    pending = await poll(api, task)
    assert (pending["status"], pending["result"], pending["progress"], pending["cost"]) == ("Pending", None, None, 0.1)
    claim = await api.claim()
    api.app.state.progress.note(Progress(claim.generation_id, 4, 16))
    running = await poll(api, task)
    assert (running["status"], running["progress"]) == ("Pending", 0.25)
    api.clock.advance(2.5)
    await api.finish(claim)
    ready = await poll(api, task)
    assert (ready["status"], ready["progress"], ready["details"]) == ("Ready", None, {"model": "flux-nano"})
    result = ready["result"]
    assert (result["prompt"], result["seed"], result["duration"]) == ("a red apple", 7, 2.5)
    assert result["end_time"] - result["start_time"] == 2.5
    picture = await api.http.get(result["sample"])
    assert (picture.content, picture.headers["content-type"]) == (b"picture", "image/png")
    assert (ready["cost"], await ann.credits()) == (0.1, 99.9)
    assert await api.breaches() == []


async def test_the_whole_way_on_either_database(run_api: RunApi, database_url: str) -> None:
    async with run_api(database={"url": database_url}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        task = await ann.submit(prompt="ein roter Apfel \N{RED APPLE}", seed=-(10**30))
        await api.finish(await api.claim())
        ready = await poll(api, task)
        assert (ready["status"], ready["result"]["prompt"]) == ("Ready", "ein roter Apfel \N{RED APPLE}")
        assert (await api.http.get(ready["result"]["sample"])).content == b"picture"
        assert (await ann.post("flux-2-pro")).status_code == 503
        assert (await ann.post(prompt="a\0b")).status_code == 422
        assert (await api.http.get("/v1/get_result", params={"id": "\0"}, headers=ann.headers)).status_code == 404
        poor = await api.account("poor", credits=0)
        assert (await poor.post()).status_code == 402
        assert await ann.credits() == 99.9
        assert await api.breaches() == []


async def test_a_failed_task_says_why_and_costs_nothing(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    claim = await api.claim()
    async with api.parts.database.write() as session:
        failed = Failed("out_of_memory", "the picture does not fit", retryable=False)
        await claims.settle_failed(session, claim.generation_id, 1, failed, api.clock.utc_now(), 3)
    body = await poll(api, task)
    assert (body["status"], body["result"], body["cost"]) == ("Error", None, 0.0)
    assert body["details"] == {"model": "flux-nano", "code": "out_of_memory", "message": "the picture does not fit"}
    assert await ann.credits() == 100
    assert await api.breaches() == []


@pytest.mark.parametrize("state", ["request_moderated", "content_moderated"])
async def test_moderated_tasks_keep_bfls_words(
    api: Api, ann: Customer, state: Literal["request_moderated", "content_moderated"]
) -> None:
    task = await ann.submit()
    claim = await api.claim()
    async with api.parts.database.write() as session:
        failed = Failed("moderated", "no", retryable=False, state=state)
        await claims.settle_failed(session, claim.generation_id, 1, failed, api.clock.utc_now(), 3)
    assert (await poll(api, task))["status"] == state.replace("_", " ").title()


async def test_a_cancelled_task_reads_as_an_error(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    async with api.parts.database.write() as session:
        await claims.request_cancel(session, task["id"], api.clock.utc_now())
    body = await poll(api, task)
    assert body["status"] == "Error"
    assert body["details"]["code"] == "cancelled"


async def expect_not_found(answer: httpx.Response, task_id: str) -> None:
    assert answer.status_code == 404
    body = answer.json()
    assert set(body) == CLASSIC | {"message", "detail"}
    assert (body["id"], body["status"], body["result"]) == (task_id, "Task not found", None)
    assert body["message"]


async def test_a_bare_id_needs_the_owners_key(api: Api, ann: Customer) -> None:
    bob = await api.account("bob")
    task = await ann.submit()
    for headers in ({"x-key": ann.key}, {"X-Key": ann.key}, {"Authorization": f"Bearer {ann.key}"}):
        answer = await api.http.get("/v1/get_result", params={"id": task["id"]}, headers=headers)
        assert answer.json()["status"] == "Pending"
    for headers in ({}, bob.headers, {"x-key": "junk"}, {"x-key": ann.key[:-1] + "!"}):
        answer = await api.http.get("/v1/get_result", params={"id": task["id"]}, headers=headers)
        await expect_not_found(answer, task["id"])


@pytest.mark.parametrize("task_id", ["", "x", "\0", "00000000-0000-4000-8000-000000000000", "é" * 200])
async def test_an_unknown_id_is_not_found_with_any_key(api: Api, ann: Customer, task_id: str) -> None:
    answer = await api.http.get("/v1/get_result", params={"id": task_id}, headers=ann.headers)
    await expect_not_found(answer, task_id)


async def test_a_polling_url_opens_its_task_only_and_not_for_ever(run_api: RunApi) -> None:
    async with run_api(results={"retention_s": 100}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        one, two = await ann.submit(), await ann.submit()
        assert (await poll(api, one))["id"] == one["id"]
        for url in (
            one["polling_url"].replace(one["id"], two["id"]),
            one["polling_url"][:-1] + ("0" if one["polling_url"][-1] != "0" else "1"),
            one["polling_url"].split("&signature")[0],
            one["polling_url"].replace("expires=1", "expires=9"),
        ):
            answer = await api.http.get(url)
            assert answer.status_code == 404
        api.clock.advance(101)
        await expect_not_found(await api.http.get(one["polling_url"]), one["id"])
        await expect_not_found(await api.http.get(f"/v1/get_result?id={one['id']}", headers=ann.headers), one["id"])


async def test_a_missing_id_is_a_validation_error(api: Api) -> None:
    answer = await api.http.get("/v1/get_result")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "id"]
    assert "id" in answer.json()["message"]


async def stored_spec(api: Api, task_id: str) -> GenerationSpec:
    async with api.parts.database.read() as session:
        spec = await session.scalar(select(Generation.spec).where(Generation.task_id == task_id))
    assert spec is not None
    return GenerationSpec.from_json(spec)


async def test_an_alias_runs_other_weights_under_its_own_name_and_price(run_api: RunApi) -> None:
    async with run_api(aliases={"flux-2-pro": "flux-nano"}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        answer = await ann.post("flux-2-pro")
        assert answer.headers["x-darkroom-model"] == "flux-nano"
        assert answer.json()["cost"] == 3.0
        spec = await stored_spec(api, answer.json()["id"])
        assert (spec.model, spec.network, spec.width, spec.height) == ("flux-2-pro", "flux-nano", 128, 128)
        assert (spec.steps, spec.guidance, spec.output_format) == (16, 3.0, "jpeg")
        large = await ann.submit("flux-2-pro", width=1024, height=512)
        assert (await stored_spec(api, large["id"])).width == 1024
        polled = await api.http.get(answer.json()["polling_url"])
        assert polled.headers["x-darkroom-model"] == "flux-nano"
        assert polled.json()["details"] == {"model": "flux-nano"}


async def test_what_is_stored_is_the_request_without_what_nobody_asked_for(api: Api, ann: Customer) -> None:
    task = await ann.submit(width=0, height=None, seed=-1, unknown="x", webhook_secret="s3cret")
    async with api.parts.database.read() as session:
        row = await session.get(Task, task["id"])
    assert row is not None
    assert row.request == {"prompt": "a red apple", "width": 0, "height": None, "seed": -1}
    assert (await stored_spec(api, task["id"])).seed == 2**63 - 1


@pytest.mark.parametrize(
    "model", ["flux-2-pro", "flux-2-klein-4b", "flux-2-klein-9b-preview", "flux-2-max", "flux-2-flex"]
)
async def test_a_name_without_weights_says_how_to_install_them(api: Api, ann: Customer, model: str) -> None:
    answer = await ann.post(model)
    assert answer.status_code == 503
    assert f"darkroom models import SRC --as {model}" in answer.json()["message"]
    assert await ann.credits() == 100


async def test_a_registration_outlives_its_worker(api: Api, ann: Customer) -> None:
    api.clock.advance(30 * 86400)
    assert (await ann.post()).status_code == 200


async def test_every_catalogue_row_has_its_route(api: Api, ann: Customer) -> None:
    for row in api.parts.catalog.rows:
        answer = await ann.post(row.name, **least_body(row))
        assert answer.status_code == (200 if row.network == "flux-nano" else 503), answer.text
    paths = (await api.http.get("/openapi.json")).json()["paths"]
    assert {f"/v1/{row.name}" for row in api.parts.catalog.rows} <= set(paths)
    body = paths["/v1/flux-nano"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"prompt", "steps", "guidance", "negative_prompt", "seed"} <= set(body["properties"])


async def test_a_full_queue_is_refused_with_a_time_to_come_back(run_api: RunApi) -> None:
    async with run_api(queue={"max_queued": 2}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        await ann.submit()
        await ann.submit()
        answer = await ann.post()
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "2" in answer.json()["message"]
        assert await ann.credits() == 99.8
        await api.claim()
        assert (await ann.post()).status_code == 200


async def test_credits_need_a_key(api: Api, ann: Customer) -> None:
    assert (await api.http.get("/v1/credits", headers=ann.headers)).json() == {"credits": 100.0}
    assert (await api.http.get("/v1/credits")).status_code == 403
