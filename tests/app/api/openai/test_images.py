"""OpenAI's own client against the gateway: what it sends is understood, what it gets are pictures, and its errors are its classes."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from openai.types import ImageGenPartialImageEvent
from PIL import Image

from app.api.openai.stream import Partials
from app.core.claims import Claim, Failed, settle_failed
from app.core.db.tables.task import Task
from app.core.events.base import Preview
from tests.fixtures.api import BASE_URL, Api, Customer
from tests.fixtures.over_http import WITHIN_S, over_http, until

pytestmark = pytest.mark.anyio

PICTURE = b"picture"


@pytest.fixture
async def client(api: Api, ann: Customer) -> AsyncIterator[AsyncOpenAI]:
    transport = httpx2.ASGITransport(api.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport) as http:
        yield AsyncOpenAI(base_url=f"{BASE_URL}/v1", api_key=ann.key, http_client=http, max_retries=0)


@asynccontextmanager
async def a_worker(api: Api, num_images: int = 1, *, fails: Failed | None = None) -> AsyncIterator[list[Claim]]:
    """Finishes so many images as they come."""
    claims: list[Claim] = []

    async def work() -> None:
        while len(claims) < num_images:
            await asyncio.sleep(0.005)
            try:
                claims.append(await api.claim())
            except IndexError:
                continue
            if fails is None:
                await api.finish(claims[-1], PICTURE)
            else:
                async with api.parts.database.write() as session:
                    await settle_failed(
                        session, claims[-1].generation_id, claims[-1].attempt, fails, api.clock.utc_now(), 1
                    )
            await api.app.state.waiters.look(api.parts.database)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(work())
        yield claims


def png(mode: str, color: object, size: tuple[int, int] = (64, 64)) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, "PNG")  # type: ignore[arg-type]  # colours of every mode
    return file.getvalue()


async def test_a_picture_comes_as_base64_and_is_paid_for(api: Api, ann: Customer, client: AsyncOpenAI) -> None:
    async with a_worker(api) as claims:
        answer = await client.images.generate(
            prompt="a red apple",
            model="flux-nano",
            size="256x128",
            output_format="png",
            extra_body={"seed": 7, "steps": 2},
        )
    assert answer.data is not None
    assert [base64.b64decode(one.b64_json or "") for one in answer.data] == [PICTURE]
    spec = claims[0].spec
    assert (spec.prompt, spec.width, spec.height, spec.seed, spec.steps) == ("a red apple", 256, 128, 7, 2)
    assert (answer.size, answer.output_format) == ("256x128", "png")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 0
    assert await ann.credits() == 100 - answer.usage.model_dump()["cost"] == 99.9


async def test_several_pictures_have_seeds_in_a_row_and_one_task(api: Api, ann: Customer, client: AsyncOpenAI) -> None:
    async with a_worker(api, 3) as claims:
        answer = await client.images.generate(prompt="a", n=3, response_format="url", extra_body={"seed": 2**63 - 1})
    assert answer.data is not None
    assert [claim.spec.seed for claim in claims] == [2**63 - 1, 0, 1]
    for one in answer.data:
        assert (await api.http.get(one.url or "")).content == PICTURE
    async with api.parts.database.read() as session:
        task = await session.get_one(Task, claims[0].task_id)
        assert (task.num_images, task.cost_micro) == (3, 300_000)
    assert await ann.credits() == 99.7
    assert await api.breaches() == []


async def test_too_little_for_all_of_them_buys_none(api: Api, client: AsyncOpenAI) -> None:
    poor = await api.account("poor", credits=1)
    with pytest.raises(openai.RateLimitError, match="and 1 credits are available") as refused:
        await client.with_options(api_key=poor.key).images.generate(prompt="a", n=10, extra_body={"steps": 50})
    assert (refused.value.code, refused.value.response.headers["x-should-retry"]) == ("insufficient_quota", "false")
    assert await poor.credits() == 1
    assert await api.breaches() == []


async def test_a_stream_ends_with_the_pictures(api: Api, client: AsyncOpenAI) -> None:
    async with a_worker(api, 2):
        stream = await client.images.generate(prompt="a", model="flux-nano", n=2, stream=True)
        told = [event async for event in stream]
    assert [event.type for event in told] == ["image_generation.completed"] * 2
    assert all(base64.b64decode(event.b64_json) == PICTURE for event in told)


async def test_partial_images_come_before_the_picture(api: Api, ann: Customer) -> None:
    """Over real HTTP, with what a worker tells put where it is heard."""
    async with over_http(api.app) as address, AsyncOpenAI(base_url=f"{address}/v1", api_key=ann.key) as client:
        stream = await client.images.generate(
            prompt="a", model="flux-nano", stream=True, partial_images=2, size="128x256"
        )
        claim = await api.claim()
        assert claim.spec.previews
        watchers = api.app.state.watchers
        await until(lambda: watchers.is_watched(claim.generation_id))
        for step in (2, 3, 4, 7, 9):  # of 10: the first, and one more from a third of the way on
            watchers.hear(Preview(claim.generation_id, step, 10, str(step).encode()))
            await asyncio.sleep(0)
            if step in (2, 4):
                event = await anext(aiter(stream))
                assert isinstance(event, ImageGenPartialImageEvent)
                assert base64.b64decode(event.b64_json) == str(step).encode()
                assert (event.partial_image_index, event.size, event.output_format) == (
                    step // 2 - 1,
                    "128x256",
                    "jpeg",
                )
        await api.finish(claim, PICTURE)
        await api.app.state.waiters.look(api.parts.database)
        told = [event async for event in stream]
    assert [event.type for event in told] == ["image_generation.completed"]
    assert len(watchers) == 0


async def test_whoever_hangs_up_on_a_stream_pays_nothing(api: Api, ann: Customer) -> None:
    async with over_http(api.app) as address, AsyncOpenAI(base_url=f"{address}/v1", api_key=ann.key) as client:
        stream = await client.images.generate(prompt="a", model="flux-nano", stream=True, partial_images=1)
        await stream.close()
        async with asyncio.timeout(WITHIN_S):
            while await ann.credits() != 100:  # noqa: ASYNC110 - what it asks has no event
                await asyncio.sleep(0.01)
    assert (len(api.app.state.watchers), await api.breaches()) == (0, [])


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_fast_picture_has_partial_images_too_and_a_slow_one_has_them_far_apart(most: int) -> None:
    slow, fast = Partials(most), Partials(most)
    assert [slow.take(Preview("g", step, 12, b"")) for step in range(1, 13)].count(True) == most
    assert fast.take(Preview("g", 1, 4, b""))
    assert not fast.take(Preview("g", 1, 4, b""))
    assert not Partials(0).take(Preview("g", 1, 4, b""))


async def test_an_edit_reads_pictures_in_order_and_a_transparent_mask(api: Api, client: AsyncOpenAI) -> None:
    mask = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 32, 64))
    file = io.BytesIO()
    mask.save(file, "PNG")
    async with a_worker(api) as claims:
        await client.images.edit(
            image=[png("RGB", "red"), png("RGB", "blue")], mask=file.getvalue(), prompt="green", model="flux-nano"
        )
    spec = claims[0].spec
    stored = {one.role: await api.parts.store.get(one.key) for one in spec.inputs}
    assert (stored["image"], stored["reference"]) == (png("RGB", "red"), png("RGB", "blue"))
    assert (stored["mask"], spec.mask_is_transparent) == (file.getvalue(), True)


async def test_one_picture_under_its_plain_name_and_texts_for_numbers(api: Api, client: AsyncOpenAI) -> None:
    async with a_worker(api) as claims:
        await client.images.edit(
            image=png("RGB", "red"), prompt="green", size="128x128", output_format="webp", output_compression=40,
            extra_body={"seed": 5},
        )  # fmt: skip
    spec = claims[0].spec
    assert (spec.output_format, spec.output_quality) == ("webp", 40)
    assert (spec.seed, spec.width, [one.role for one in spec.inputs]) == (5, 128, ["reference"])


@pytest.mark.parametrize(
    ("code", "state", "status", "said"),
    [
        ("no_output", "error", 500, "no_output"),
        ("policy", "request_moderated", 400, "moderation_blocked"),
    ],
)
async def test_a_failure_is_told_once_and_costs_nothing(
    api: Api, ann: Customer, client: AsyncOpenAI, code: str, state: str, status: int, said: str
) -> None:
    async with a_worker(api, fails=Failed(code, "why", retryable=False, state=state)):  # type: ignore[arg-type] - a table of the states above
        with pytest.raises(openai.APIStatusError) as refused:
            await client.images.generate(prompt="a")
    assert (refused.value.status_code, refused.value.code) == (status, said)
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert await ann.credits() == 100


async def test_a_failure_ends_a_stream_with_an_error(api: Api, client: AsyncOpenAI) -> None:
    async with a_worker(api, fails=Failed("no_output", "why", retryable=False)):
        stream = await client.images.generate(prompt="a", stream=True)
        with pytest.raises(openai.APIError, match="why"):
            _ = [event async for event in stream]


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"size": "4x4"}, "size", "64 to 384"),
        ({"size": "large"}, "size", "1024x1024"),
        ({"n": 11}, "n", "10"),
        ({"output_format": "gif"}, "output_format", "png, jpeg, webp"),
        ({"output_compression": 50}, "output_compression", "loses nothing"),
        ({"background": "transparent"}, "background", "opaque"),
        ({"prompt": ""}, "prompt", "at least 1 character"),
        ({"steps": "many"}, "steps", "integer"),
        ({"steps": 1000}, "steps", "1 to 50"),
    ],
)
async def test_a_bad_field_is_the_errors_param(
    api: Api, ann: Customer, client: AsyncOpenAI, fields: dict[str, object], param: str, says: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=says) as refused:
        await client.post("/images/generations", cast_to=object, body={"prompt": "a", **fields})
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")
    assert await ann.credits() == 100


async def test_keys_models_and_routes_are_refused_in_its_words(api: Api, ann: Customer, client: AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        await client.with_options(api_key="bad").images.generate(prompt="a")
    assert (refused.value.code, bool(refused.value.request_id)) == ("invalid_api_key", True)
    with pytest.raises(openai.NotFoundError, match="dall-e-9"):
        await client.images.generate(prompt="a", model="dall-e-9")
    with pytest.raises(openai.InternalServerError, match="models import"):
        await client.images.generate(prompt="a", model="flux-2-klein-4b")
    for files, says in (({"x": b"x"}, "an edit needs a picture"), (None, "must be multipart/form-data")):
        answer = await api.http.post("/v1/images/edits", headers={"x-key": ann.key}, data={"prompt": "a"}, files=files)
        assert (answer.status_code, says in answer.json()["error"]["message"]) == (400, True)
    with pytest.raises(openai.BadRequestError, match="no transparency"):
        await client.images.edit(image=png("RGB", "red"), mask=png("RGB", "red"), prompt="a")


async def test_the_same_key_waits_for_the_same_pictures(api: Api, ann: Customer, client: AsyncOpenAI) -> None:
    headers = {"Idempotency-Key": "a"}
    async with a_worker(api) as claims:
        first = await client.images.generate(prompt="a", extra_headers=headers)
    again = await client.images.with_raw_response.generate(prompt="a", extra_headers=headers)
    assert json.loads(again.content)["data"] == [one.model_dump(exclude_none=True) for one in first.data or []]
    assert again.headers["idempotent-replayed"] == "true"
    with pytest.raises(openai.BadRequestError, match="another body"):
        await client.images.generate(prompt="a", n=2, extra_headers=headers)
    assert (len(claims), await ann.credits()) == (1, 99.9)


async def test_models_are_those_with_weights(run_api, anyio_backend) -> None:
    async with run_api(openai={"models": {"gpt-image-1": "flux-nano"}}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        listed = await api.http.get("/v1/models", headers=ann.headers)
        assert [one["id"] for one in listed.json()["data"]] == ["flux-nano", "gpt-image-1"]
        one = await api.http.get("/v1/models/gpt-image-1", headers=ann.headers)
        assert one.json()["object"] == "model"
        missing = await api.http.get("/v1/models/flux-2-pro", headers=ann.headers)
        assert (missing.status_code, set(missing.json())) == (404, {"error"})
