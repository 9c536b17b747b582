"""Pictures behind URLs, through the API: fetched before the task is made, kept like those that were sent, refused by name."""

import base64
from collections.abc import AsyncIterator

import pytest

from app.core.spec import GenerationSpec
from tests.app.egress.listener import Listener, ok
from tests.fixtures.api import Api, RunApi
from tests.fixtures.pictures import picture_file

pytestmark = pytest.mark.anyio


@pytest.fixture
async def host() -> AsyncIterator[Listener]:
    async with Listener({"/cat.png?key=s3cret": ok(picture_file(96, 64)), "/text": ok(b"no picture")}).running() as one:
        yield one


@pytest.fixture
async def open_api(run_api: RunApi, host: Listener) -> AsyncIterator[Api]:
    """Whose operator lets customers name this machine."""
    async with run_api(egress={"private_hosts": ["127.0.0.1"], "ports": [host.port]}) as running:
        await running.install("flux-nano")
        yield running


async def test_a_picture_behind_a_url_is_fetched_once_and_kept_like_any_other(open_api: Api, host: Listener) -> None:
    ann, url = await open_api.account(), f"http://127.0.0.1:{host.port}/cat.png?key=s3cret"
    task = await ann.submit(input_image=url, seed=1)
    claim = await open_api.claim()
    (kept,) = claim.spec.images("reference")
    assert await open_api.parts.store.get(kept.key) == picture_file(96, 64)
    assert (kept.width, kept.height) == (claim.spec.width, claim.spec.height) == (96, 64)
    assert len(host.asked) == 1
    sent = await ann.submit(input_image=base64.b64encode(picture_file(96, 64)).decode(), seed=1)
    assert (sent["cost"], sent["input_mp"]) == (task["cost"], task["input_mp"])
    other: GenerationSpec = (await open_api.claim()).spec
    assert other.images("reference")[0].sha256 == kept.sha256
    assert "s3cret" not in open_api.logs.getvalue()


@pytest.mark.parametrize(("path", "why"), [("/text", "PNG, JPEG or WebP"), ("/nothing", "took more than")])
async def test_what_is_no_picture_is_refused_by_field_and_costs_nothing(
    run_api: RunApi, host: Listener, path: str, why: str
) -> None:
    async with run_api(egress={"private_hosts": ["127.0.0.1"], "ports": [host.port], "picture_s": 0.5}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        answer = await ann.post(input_image=f"http://127.0.0.1:{host.port}{path}")
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "input_image"])
        assert why in answer.json()["message"]
        assert await ann.credits() == 100


async def test_by_default_nothing_inside_is_named(api: Api, host: Listener) -> None:
    ann = await api.account("bob")
    answer = await ann.post(input_image=f"http://127.0.0.1:{host.port}/cat.png?key=s3cret")
    assert answer.status_code == 422
    answer = await ann.post(input_image="http://127.0.0.1:8080/cat.png")
    assert "not on the public internet" in answer.json()["message"]
    assert host.num_connections == 0


async def test_an_estimate_opens_no_socket(open_api: Api, host: Listener) -> None:
    body = {"model": "flux-nano", "prompt": "x", "input_image": f"http://127.0.0.1:{host.port}/cat.png?key=s3cret"}
    answer = await open_api.http.post("/v1/pricing/estimate", json=body)
    assert answer.status_code == 422
    assert host.num_connections == 0
