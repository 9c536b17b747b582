"""The table of prices and estimates: for anybody, for every name, and always what a submit answers and a delivery charges."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.core.catalog import CATALOG
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from tests.fixtures.api import Api, Customer, RunApi
from tests.fixtures.pictures import least_body, picture

pytestmark = pytest.mark.anyio


async def test_the_table_has_every_name_and_asks_for_no_key(api: Api) -> None:
    answer = (await api.http.get("/v1/pricing")).json()
    assert {one["model"] for one in answer["models"]} == {row.name for row in CATALOG}
    assert answer["version"] == api.parts.price_book.version
    by_name = {one["model"]: one for one in answer["models"]}
    assert by_name["flux-dev"] == {"model": "flux-dev", "per": "image", "image": 2.5, "included_steps": None}
    pro = by_name["flux-2-pro"]
    assert (pro["per"], pro["first"], pro["further"], pro["input"], pro["rounding"]) == (
        "megapixel",
        3,
        1.5,
        1.5,
        "ceil",
    )


async def test_estimate_submit_and_charge_are_one_number_for_every_name(api: Api) -> None:
    """What has no weights has an estimate, too."""
    ann = await api.account(credits=1000)
    await api.install(*(network for row in CATALOG if (network := row.network) is not None))
    for row in CATALOG:
        body = least_body(row)
        found = await estimate(api, row.name, body)
        assert found["cost_micro"] == sum(line["cost_micro"] for line in found["breakdown"]) > 0
        if row.network is not None:
            assert await settled(ann, row.name, row.network, body) == found["cost"]
    assert await api.breaches() == []


async def estimate(api: Api, model: str, body: dict[str, object]) -> dict[str, Any]:
    answer = await api.http.post("/v1/pricing/estimate", json={**body, "model": model})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def settled(ann: Customer, model: str, network: str, body: dict[str, object]) -> float:
    """What was charged in the end, once the submit, the balance and the poll have said the same."""
    before = await ann.credits()
    task = await ann.submit(model, **body)
    await ann.api.finish(await ann.api.claim(network))
    cost: float = (await ann.api.http.get(task["polling_url"])).json()["cost"]
    assert task["cost"] == cost == pytest.approx(before - await ann.credits())
    return cost


async def test_an_estimate_changes_nothing_and_keeps_no_picture(api: Api) -> None:
    body = {
        "model": "flux-2-max",
        "prompt": "a",
        "input_image": picture(1024, 1024),
        "width": 2048,
        "height": 1024,
    }
    found = (await api.http.post("/v1/pricing/estimate", json=body)).json()
    assert (found["cost"], found["input_mp"], found["output_mp"]) == (13, 1.0, 2.0)
    assert [line["item"] for line in found["breakdown"]] == [
        "first_megapixel",
        "further_megapixels",
        "input_megapixels",
    ]
    async with api.parts.database.read() as session:
        assert (await session.scalars(select(Task.id))).all() == []
        assert (await session.scalars(select(Generation.id))).all() == []
    assert not (api.parts.settings.data_dir / "objects" / "inputs").exists()


async def test_what_a_submit_refuses_an_estimate_refuses(api: Api, ann: Customer) -> None:
    for body in ({"width": 5000}, {"prompt": ""}, {"seed": "x"}):
        sent = {"prompt": "a", **body}
        submitted = await ann.post(**sent)
        answer = await api.http.post("/v1/pricing/estimate", json={"model": "flux-nano", **sent})
        assert (submitted.status_code, answer.status_code) == (422, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == submitted.json()["message"]
    for unnamed in ({}, {"model": 3}):
        assert (await api.http.post("/v1/pricing/estimate", json=unnamed)).status_code == 422
    assert (await api.http.post("/v1/pricing/estimate", json={"model": "flux-9"})).status_code == 404


async def test_estimates_are_limited_like_submits(run_api: RunApi) -> None:
    async with run_api(limits={"burst": 2, "submits_per_s": 0.001}) as api:
        body = {"model": "flux-nano", "prompt": "a"}
        answers = [await api.http.post("/v1/pricing/estimate", json=body) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_an_operators_prices_are_the_ones_that_count(run_api: RunApi, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('version = "acme"\n[models.flux-nano]\nimage = "7.000001"')
    async with run_api(prices={"file": path}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        assert (await ann.submit())["cost"] == 7.000001
        async with api.parts.database.read() as session:
            version = await session.scalar(select(Generation.price_book_version))
        assert version == api.parts.price_book.version
        assert version is not None
        assert version.startswith("acme+")
