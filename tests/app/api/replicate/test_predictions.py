"""Replicate's own client over real HTTP: what it sends is understood, what it gets are pictures, and its errors are its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError

from app.api.replicate.answers import prediction
from app.api.viewpoint import Viewpoint
from app.core.claims import Claim, Failed, settle_failed
from app.core.events.base import Progress
from app.generations.tasks import own_task
from tests.fixtures.api import BASE_URL, Api, Customer
from tests.fixtures.over_http import WITHIN_S, over_http

pytestmark = pytest.mark.anyio

INPUT = {"prompt": "a red apple", "seed": 7, "width": 128, "height": 128}


@pytest.fixture
async def client(api: Api, ann: Customer) -> AsyncIterator[Client]:
    async with over_http(api.app) as address:
        client = Client(ann.key, base_url=address)
        client.poll_interval = 0.01
        yield client
        await client._async_client.aclose()


async def work(api: Api, num_images: int = 1, fails: Failed | None = None) -> list[Claim]:
    """Finish so many images as they come."""
    claims: list[Claim] = []
    async with asyncio.timeout(WITHIN_S):
        while len(claims) < num_images:
            await asyncio.sleep(0.005)
            try:
                claims.append(await api.claim())
            except IndexError:
                continue
            now, one = api.clock.utc_now(), claims[-1]
            if fails is None:
                await api.finish(one)
            else:
                async with api.parts.database.write() as session:
                    await settle_failed(session, one.generation_id, one.attempt, fails, now, 1)
            await api.app.state.waiters.look(api.parts.database)
    return claims


async def made_by(api: Api, asked: Any, num_images: int = 1, fails: Failed | None = None) -> tuple[Any, list[Claim]]:
    working = asyncio.create_task(work(api, num_images, fails))
    return await asyncio.wait_for(asked, WITHIN_S), await working


async def test_run_waits_and_gives_addresses(api: Api, ann: Customer, client: Client) -> None:
    sent = {**INPUT, "num_outputs": 2, "num_inference_steps": 3, "output_format": "jpg", "output_quality": 50}
    urls, claims = await made_by(api, client.async_run("darkroom/flux-nano", input=sent), 2)
    assert [(await api.http.get(url)).content for url in urls] == [b"picture"] * 2
    spec = claims[0].spec
    assert (spec.seed, claims[1].spec.seed, spec.steps, spec.output_format, spec.output_quality) == (
        7,
        8,
        3,
        "jpeg",
        50,
    )
    assert await ann.credits() == 99.8
    assert await api.breaches() == []


async def test_a_version_is_a_public_name_and_a_prediction_is_polled(api: Api, ann: Customer, client: Client) -> None:
    made = await client.predictions.async_create(version="flux-nano", input=INPUT)
    assert (made.status, made.output, made.model, made.version) == ("starting", None, "darkroom/flux-nano", "flux-nano")
    claim = await api.claim()
    api.app.state.progress.note(Progress(claim.generation_id, 1, 4))
    await made.async_reload()
    assert made.status == "processing"
    assert made.progress is not None
    assert (made.progress.percentage, made.progress.current, made.progress.total) == (0.25, 1, 4)
    api.clock.advance(2)
    await api.finish(claim)
    await asyncio.wait_for(made.async_wait(), WITHIN_S)
    assert made.status == "succeeded"
    assert made.input == INPUT
    assert made.metrics is not None
    assert made.metrics["total_time"] == 2.0
    assert made.created_at is not None
    assert made.completed_at is not None
    assert made.created_at < made.completed_at
    page = await client.predictions.async_list()
    assert [one.id for one in page.results] == [made.id]


async def test_what_is_cancelled_and_what_fails(api: Api, ann: Customer, client: Client) -> None:
    made = await client.predictions.async_create(version="darkroom/flux-nano", input=INPUT)
    await made.async_cancel()
    assert made.status == "canceled"
    failed = Failed("no_output", "why", retryable=False)
    with pytest.raises(ModelError, match="no_output: why"):
        await made_by(api, client.async_run("darkroom/flux-nano", input=INPUT), 1, failed)
    assert await ann.credits() == 100


async def test_a_wait_that_is_over_says_starting_so_that_the_client_polls_on(api: Api, ann: Customer) -> None:
    """Its SDK takes "processing" for an end."""
    task = await ann.submit()
    await api.claim()
    async with api.parts.database.read() as session:
        found = await own_task(session, ann.account_id, task["id"], api.clock.utc_now())
    view = Viewpoint(BASE_URL, api.parts.secrets, 60.0, api.clock.utc_now())
    shown = [prediction(found, api.app.state.progress, view, waited=waited).status for waited in (False, True)]
    assert shown == ["processing", "starting"]


@pytest.mark.parametrize(
    ("version", "sent", "status", "says"),
    [
        ("flux-9", INPUT, 404, "flux-9"),
        ("acme/flux-nano", INPUT, 404, "acme"),
        ("flux-nano", {**INPUT, "num_outputs": 99}, 422, "input.num_outputs"),
        ("flux-nano", {**INPUT, "steps": 4, "num_inference_steps": 5}, 422, "either"),
        ("flux-nano", {**INPUT, "width": 1}, 422, "width"),
        ("flux-nano", {}, 422, "input.prompt"),
        ("flux-2-klein-4b", INPUT, 503, "models import"),
    ],
)
async def test_a_refusal_is_a_problem_of_its_own(
    client: Client, version: str, sent: dict[str, Any], status: int, says: str
) -> None:
    with pytest.raises(ReplicateError, match=says) as refused:
        await client.predictions.async_create(version=version, input=sent)
    assert (refused.value.status, bool(refused.value.title)) == (status, True)


async def test_keys_of_both_schemes_and_none(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    path = f"/v1/predictions/{task['id']}"
    for scheme in ("Bearer", "Token", "token"):
        assert (await api.http.get(path, headers={"authorization": f"{scheme} {ann.key}"})).status_code == 200
    refused = await api.http.get(path, headers={"authorization": "Token x"})
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
    bob = await api.account("bob")
    assert (await api.http.get(path, headers=bob.headers)).status_code == 404
    assert (await api.http.get("/v1/predictions", headers=bob.headers)).json()["results"] == []
