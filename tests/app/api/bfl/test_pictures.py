"""Pictures over HTTP: what they become for the worker, what is kept and for how long, and what a refusal leaves behind."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.core import claims
from app.core.claims import Failed
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.spec import CannyThresholds, GenerationSpec, Margins
from app.generations.sweeper import Sweeper
from tests.fixtures.api import Api, Customer, RunApi
from tests.fixtures.pictures import EXIF_TURNED_RIGHT, animation, encoded, picture, picture_file, png_claiming

pytestmark = pytest.mark.anyio

FLUX1 = ("flux-dev", "flux-redux-dev", "flux-fill-dev", "flux-canny-dev", "flux-depth-dev", "flux-kontext-dev")


async def spec_of(customer: Customer, model: str = "flux-nano", **body: Any) -> GenerationSpec:
    """What a worker would read of this request."""
    task = await customer.submit(model, **body)
    async with customer.api.parts.database.read() as session:
        text = await session.scalar(select(Generation.spec).where(Generation.task_id == task["id"]))
    assert text is not None
    return GenerationSpec.from_json(text)


def stored_files(api: Api) -> set[str]:
    """Keys of everything in the object store."""
    root = Path(api.parts.settings.data_dir) / "objects"
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def roles(spec: GenerationSpec) -> list[str]:
    return [image.role for image in spec.inputs]


@pytest.fixture
async def flux1(run_api: RunApi) -> Any:
    """A customer of a gateway whose workers have FLUX.1 in every form."""
    async with run_api() as api:
        await api.install(*FLUX1)
        yield await api.account()


async def test_references_reach_the_worker_in_order_with_their_bytes(api: Api, ann: Customer) -> None:
    files = [picture_file(80, 64), picture_file(64, 96, file_format="JPEG"), picture_file(70, 70, file_format="WEBP")]
    first, second, third = (encoded(data) for data in files)
    body = {"input_image": first, "input_image_2": f"data:image/png;base64,{second}", "input_image_4": third}
    spec = await spec_of(ann, **body)
    assert roles(spec) == ["reference"] * 3
    assert [(image.width, image.height) for image in spec.inputs] == [(80, 64), (64, 96), (70, 70)]
    assert [image.content_type for image in spec.inputs] == ["image/png", "image/jpeg", "image/webp"]
    assert [await api.parts.store.get(image.key) for image in spec.inputs] == files
    assert (spec.width, spec.height) == (80, 64)


async def test_the_answer_counts_the_pictures_and_they_are_paid_for(ann: Customer) -> None:
    plain = await ann.submit()
    edited = await ann.submit(input_image=picture(1024, 512), input_image_2=picture(512, 512))
    assert plain["input_mp"] == 0.0
    assert edited["input_mp"] == 0.75
    assert edited["cost"] > plain["cost"]


async def test_what_is_kept_of_the_request_has_digests_for_pictures(api: Api, ann: Customer) -> None:
    data = picture_file(300, 300)
    task = await ann.submit(input_image=encoded(data), strength=None)
    async with api.parts.database.read() as session:
        row = await session.get_one(Task, task["id"])
    spec = await spec_of(ann, input_image=encoded(data))
    assert row.request["input_image"] == {"sha256": spec.inputs[0].sha256, "bytes": len(data)}
    assert encoded(data)[:40] not in json.dumps(row.request) + api.logs.getvalue()


async def test_a_turned_picture_has_the_size_that_is_seen(ann: Customer) -> None:
    turned = picture(96, 64, file_format="JPEG", orientation=EXIF_TURNED_RIGHT)
    spec = await spec_of(ann, input_image=turned)
    assert (spec.inputs[0].width, spec.inputs[0].height, spec.width, spec.height) == (64, 96, 64, 96)


async def test_image_to_image_and_inpainting_on_flux2(ann: Customer) -> None:
    one, mask = picture(128, 96), picture(128, 96, mode="L")
    whole = await spec_of(ann, image=one, strength=0.4)
    assert (roles(whole), whole.strength, whole.width, whole.height) == (["image"], 0.4, 128, 96)
    part = await spec_of(ann, input_image=one, input_image_2=picture(64, 64), mask=mask)
    assert sorted(roles(part)) == ["image", "mask", "reference"]
    assert part.images("image")[0].width == 128
    assert part.images("reference")[0].width == 64
    explicit = await spec_of(ann, image=one, input_image=picture(64, 64), mask=mask, deterministic=True)
    assert sorted(roles(explicit)) == ["image", "mask", "reference"]
    assert explicit.deterministic


async def test_image_to_image_and_inpainting_on_flux1(flux1: Customer) -> None:
    one, mask = picture(640, 512), picture(640, 512, mode="L")
    whole = await spec_of(flux1, "flux-dev", image=one, strength=1)
    assert (roles(whole), whole.strength, whole.width, whole.height) == (["image"], 1.0, 640, 512)
    part = await spec_of(flux1, "flux-dev", image=one, mask=mask, negative_prompt="blur", true_cfg_scale=4)
    assert (sorted(roles(part)), part.negative_prompt, part.true_cfg_scale) == (["image", "mask"], "blur", 4.0)
    large = await spec_of(flux1, "flux-dev", image=picture(2000, 1000))
    assert (large.width, large.height) == (1440, 736)


async def test_kontext_fill_and_expand(flux1: Customer) -> None:
    kontext = await spec_of(flux1, "flux-kontext-dev", input_image=picture(400, 300), aspect_ratio="3:2")
    assert (roles(kontext), kontext.width, kontext.height) == (["reference"], 1248, 832)
    follows = await spec_of(flux1, "flux-kontext-dev", image=picture(400, 300))
    assert (roles(follows), follows.width, follows.height) == (["reference"], 1184, 880)
    fill = await spec_of(flux1, "flux-fill-dev", image=picture(400, 304), mask=picture(400, 304, mode="L"))
    assert (sorted(roles(fill)), fill.mask_from_alpha, fill.width, fill.height) == (["image", "mask"], False, 400, 304)
    alpha = await spec_of(flux1, "flux-fill-dev", input_image=picture(400, 304, mode="RGBA"))
    assert (roles(alpha), alpha.mask_from_alpha) == (["image"], True)


async def test_expand_is_an_image_with_margins(run_api: RunApi) -> None:
    async with run_api(aliases={"flux-pro-1.0-expand": "flux-fill-dev"}) as api:
        await api.install(*FLUX1)
        ann = await api.account()
        spec = await spec_of(ann, "flux-pro-1.0-expand", image=picture(320, 256), top=64, left=None, right=96)
        assert spec.margins == Margins(top=64, bottom=0, left=0, right=96)
        assert (roles(spec), spec.width, spec.height, spec.guidance) == (["image"], 416, 320, 30.0)
        for margins in ({}, {"top": 2049}, {"left": -1}, {"top": 2048, "left": 2048}):
            assert (await ann.post("flux-pro-1.0-expand", image=picture(320, 256), **margins)).status_code == 422


async def test_edges_depth_and_image_prompts(flux1: Customer) -> None:
    source = await spec_of(flux1, "flux-canny-dev", control_image=picture(320, 256), canny_low_threshold=10)
    assert (roles(source), source.canny) == (["control_source"], CannyThresholds(low=10, high=200))
    assert (source.width, source.height) == (320, 256)
    both = await spec_of(
        flux1, "flux-canny-dev", control_image=picture(320, 256), preprocessed_image=picture(640, 480), width=512
    )
    assert (roles(both), both.canny, both.width, both.height) == (["control"], None, 512, 480)
    depth = await spec_of(flux1, "flux-depth-dev", preprocessed_image=picture(320, 256))
    assert (roles(depth), depth.guidance) == (["control"], 10.0)
    prompted = await spec_of(flux1, "flux-dev", prompt="", image_prompt=picture(320, 256), image_prompt_strength=0.5)
    assert (roles(prompted), prompted.image_prompter, prompted.image_prompt_strength) == (
        ["image_prompt"],
        FLUX1[1],
        0.5,
    )
    assert (prompted.width, prompted.height) == (1024, 768)


async def test_an_image_prompt_needs_the_network_that_reads_it(run_api: RunApi) -> None:
    async with run_api() as api:
        await api.install("flux-dev")
        ann = await api.account()
        answer = await ann.post("flux-dev", image_prompt=picture(320, 256))
        assert answer.status_code == 503
        assert "darkroom models import SRC --as flux-redux-dev" in answer.json()["message"]
        await api.install("flux-redux-dev", pool="elsewhere")
        assert (await ann.post("flux-dev", image_prompt=picture(320, 256))).status_code == 503
        assert stored_files(api) == set()
        await api.install("flux-redux-dev")
        assert (await ann.post("flux-dev", image_prompt=picture(320, 256))).status_code == 200


SAME = picture(128, 128)
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("flux-nano", {"input_image": "https://127.0.0.1/cat.png"}, "input_image", "a URL of a picture"),
    ("flux-nano", {"input_image": "not base64!"}, "input_image", "not base64"),
    ("flux-nano", {"input_image": "data:image/png;base64,"}, "input_image", "no picture"),
    ("flux-nano", {"input_image": encoded(b"GIF89a" + bytes(30))}, "input_image", "PNG, JPEG or WebP"),
    ("flux-nano", {"input_image_2": encoded(picture_file(200, 200)[:-20])}, "input_image_2", "cut off"),
    ("flux-nano", {"input_image": encoded(animation("WEBP"))}, "input_image", "animation"),
    ("flux-nano", {"input_image": encoded(png_claiming(20_000, 20_000))}, "input_image", "64 to 16384"),
    ("flux-nano", {"input_image": encoded(png_claiming(6000, 6000))}, "input_image", "20 megapixels"),
    ("flux-nano", {"input_image": picture(63, 200)}, "input_image", "64 to 16384"),
    ("flux-nano", {"input_image": picture(64, 520)}, "input_image", "8:1"),
    ("flux-nano", {"input_image": 7}, "input_image", "string"),
    ("flux-nano", {"input_image_5": SAME}, "input_image_5", "input_image_4"),
    ("flux-nano", {"image_prompt": SAME}, "image_prompt", "no such picture"),
    ("flux-nano", {"mask": SAME}, "mask", "beside a picture"),
    ("flux-nano", {"input_image": SAME, "mask": picture(128, 112)}, "mask", "128x112"),
    ("flux-nano", {"image": SAME, "strength": 0}, "strength", "above 0"),
    ("flux-nano", {"image": SAME, "strength": 1.5}, "strength", "0 to 1"),
    ("flux-nano", {"input_image": SAME, "strength": 0.5}, "strength", "image or mask"),
    ("flux-dev", {"negative_prompt": "blur"}, "true_cfg_scale", "above 1"),
    ("flux-dev", {"true_cfg_scale": 2.0}, "true_cfg_scale", "negative_prompt"),
    ("flux-dev", {"mask": SAME, "image": picture(128, 112)}, "mask", "128x112"),
    ("flux-dev", {"control_image": SAME}, "control_image", "image_prompt"),
    ("flux-dev", {"image_prompt": SAME, "image_prompt_strength": 1.1}, "image_prompt_strength", "0 to 1"),
    ("flux-dev", {"max_sequence_length": 513}, "max_sequence_length", "512"),
    ("flux-dev", {"input_image": SAME}, "input_image", "image_prompt"),
    ("flux-kontext-dev", {"input_image": SAME, "input_image_2": SAME}, "input_image_2", "at most 1"),
    ("flux-kontext-dev", {"aspect_ratio": "3:1"}, "aspect_ratio", "21:9"),
    ("flux-kontext-dev", {"aspect_ratio": "wide"}, "aspect_ratio", "W:H"),
    ("flux-kontext-dev", {"aspect_ratio": "0:1"}, "aspect_ratio", "W:H"),
    ("flux-fill-dev", {}, "image", "required"),
    ("flux-fill-dev", {"image": SAME}, "mask", "alpha"),
    ("flux-fill-dev", {"image": SAME, "mask": picture(64, 64)}, "mask", "128x128"),
    ("flux-fill-dev", {"image": SAME, "mask": SAME, "input_image": SAME}, "input_image", "no such picture"),
    ("flux-pro-1.0-fill", {"image": picture(255, 300, mode="RGBA")}, "image", "256 to 16384"),
    ("flux-canny-dev", {}, "control_image", "control_image or preprocessed_image"),
    ("flux-canny-dev", {"control_image": SAME, "canny_low_threshold": 300}, "canny_low_threshold", "0 to 200"),
    ("flux-depth-dev", {"control_image": SAME}, "control_image", "depth estimator"),
    ("flux-depth-dev", {}, "preprocessed_image", "preprocessed_image"),
]


@pytest.mark.parametrize("model", sorted({model for model, *_ in REFUSED}))
async def test_a_refusal_names_the_field_and_leaves_nothing(api: Api, ann: Customer, model: str) -> None:
    await api.install(*FLUX1)
    for _, fields, field, limit in (one for one in REFUSED if one[0] == model):
        answer = await ann.post(model, **fields)
        assert answer.status_code == 422, answer.text
        body = answer.json()
        assert body["detail"][0]["loc"] == ["body", field]
        assert field in body["message"]
        assert limit in body["message"], body["message"]
        assert len(body["message"]) < 400
    assert stored_files(api) == set()
    assert await ann.credits() == 100
    async with api.parts.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Task)) == 0


@pytest.mark.parametrize("credits", [0, 100])
async def test_pictures_of_a_task_that_was_not_made_are_gone(run_api: RunApi, credits: int) -> None:
    async with run_api() as api:
        if not credits:
            await api.install("flux-nano")
        ann = await api.account(credits=credits)
        assert (await ann.post(input_image=SAME)).status_code == (503 if credits else 402)
        assert stored_files(api) == set()


async def test_a_request_that_is_sent_again_leaves_its_pictures_once(api: Api, ann: Customer) -> None:
    headers = {**ann.headers, "Idempotency-Key": "one"}
    body = {"prompt": "a red apple", "input_image": SAME}
    answers = [await api.http.post("/v1/flux-nano", json=body, headers=headers) for _ in range(3)]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(stored_files(api)) == 1
    other = await api.http.post("/v1/flux-nano", json=body | {"input_image": picture(80, 80)}, headers=headers)
    assert other.status_code == 422
    assert len(stored_files(api)) == 1


async def test_under_an_alias_the_network_that_runs_says_what_it_takes(run_api: RunApi) -> None:
    aliases = {"flux-dev": "flux-nano", "flux-pro-1.0-fill": "flux-nano", "flux-kontext-pro": "flux-nano"}
    async with run_api(aliases=aliases) as api:
        await api.install("flux-nano")
        ann = await api.account()
        refused = await ann.post("flux-dev", image_prompt=SAME)
        assert "flux-dev runs on flux-nano here, which takes no such picture" in refused.json()["message"]
        kontext = await spec_of(ann, "flux-kontext-pro", input_image=SAME, input_image_2=SAME, input_image_3=SAME)
        assert (roles(kontext), kontext.width, kontext.height) == (["reference"] * 3, 128, 128)
        fill = await spec_of(ann, "flux-pro-1.0-fill", image=picture(256, 256, mode="RGBA"), guidance=60, steps=50)
        assert (fill.mask_from_alpha, fill.guidance, fill.steps, fill.width) == (True, 20.0, 50, 256)
        text = await spec_of(ann, "flux-dev", prompt="", negative_prompt="blur")
        assert (text.negative_prompt, text.true_cfg_scale, text.width) == ("blur", 1.0, 128)


@pytest.mark.parametrize("end", ["ready", "failed", "cancelled"])
async def test_pictures_go_with_the_task_however_it_ended(run_api: RunApi, end: str) -> None:
    async with run_api(results={"retention_s": 100}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        task = await ann.submit(input_image=SAME, input_image_2=SAME)
        now = api.clock.utc_now()
        if end == "cancelled":
            async with api.parts.database.write() as session:
                await claims.request_cancel(session, task["id"], now)
        elif end == "ready":
            await api.finish(await api.claim())
        else:
            claim = await api.claim()
            async with api.parts.database.write() as session:
                await claims.settle_failed(session, *claim.held, Failed("x", "x", retryable=False), now, 3)
        assert len(stored_files(api)) == (3 if end == "ready" else 2)
        await Sweeper(api.parts).turn()
        assert len(stored_files(api)) == (3 if end == "ready" else 2)
        api.clock.advance(101)
        await Sweeper(api.parts).turn()
        assert stored_files(api) == set()
        assert await api.breaches() == []
