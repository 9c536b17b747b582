"""The API's description is what the API does: every route has examples, which were really said, and docs/ has the copy that people review.

`RECORD=1 python -m pytest tests/contracts/test_description.py` writes both anew.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from app.api.bfl.schemas.bodies import body_of
from app.api.described_examples import BODIES, RECORDED
from app.api.described_keys import OPEN, SIGNED
from app.api.described_refusals import METHODS
from tests.contracts.conversation import held
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio

COPY = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
UNRECORDED = {
    "GET /v1/tasks/{task_id}/events",
    "GET /v1/results/{generation_id}/{attempt}/sample.{extension}",
    "GET /v1/files/{file_id}/content",
    "GET /metrics",
    "POST /v1/images/generations",
    "POST /v1/images/edits",
    "POST /v1/webhooks/{webhook_id}/redeliver",
    "POST /v1/files/{file_id}/complete",
}
"""Answers that are no JSON, that hold pictures, or that need another server."""
RECORDS = "RECORD" in os.environ


def operations(api: Api) -> dict[str, dict[str, Any]]:
    """Every route's operation by "METHOD /path"."""
    paths = api.app.openapi()["paths"]
    return {f"{m.upper()} {path}": paths[path][m] for path in paths for m in sorted(METHODS & paths[path].keys())}


def agree(one: Any, other: Any) -> bool:
    """The same names and kinds, whatever the values; None goes with anything."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return not one or not other or agree(one[0], other[0])
    return one is None or other is None or kind(one) == kind(other)


def kind(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


async def test_examples_are_what_is_really_said(api: Api, ann: Customer) -> None:
    talk = await held(api, ann)
    if RECORDS:
        RECORDED.write_text(json.dumps(talk.written(), indent=1, sort_keys=True) + "\n")
    recorded = json.loads(RECORDED.read_text())
    said = talk.written()
    assert recorded.keys() == said.keys()
    assert [name for name in said if not agree(recorded[name], said[name])] == []


async def test_every_route_has_an_example_that_fits_its_schema(api: Api) -> None:
    description = api.app.openapi()
    for name, operation in operations(api).items():
        if name in UNRECORDED or "501" in operation["responses"]:
            continue
        for content in (operation.get("requestBody", {}), next(iter(operation["responses"].values()))):
            described = content.get("content", {}).get("application/json")
            if described is not None:
                assert "example" in described, name
                schema = {**described["schema"], "components": description["components"]}
                Draft202012Validator(schema).validate(described["example"])


async def test_every_kind_of_body_has_a_request_that_its_schema_takes(api: Api) -> None:
    for row in api.parts.catalog.rows:
        body_of(row).model_validate(BODIES[row.body])


@pytest.mark.parametrize("anonymous", [False, True])
async def test_the_description_says_where_a_key_is_needed(run_api: RunApi, anonymous: bool) -> None:
    async with run_api(free={"anonymous": anonymous}) as api:
        for name, operation in operations(api).items():
            method, path = name.split(" ")
            if path in SIGNED or "501" in operation["responses"]:
                continue
            answer = await api.http.request(method, path.replace("{", "").replace("}", ""), json={})
            is_refused, security = answer.status_code in (401, 403), operation["security"]
            assert is_refused == (path not in OPEN and {} not in security), (name, answer.status_code, answer.text)
            assert bool(security) == (path not in OPEN)
            assert anonymous or {} not in security


async def test_the_copy_in_docs_is_the_description(api: Api) -> None:
    told = json.dumps(api.app.openapi(), indent=1, sort_keys=True) + "\n"
    if RECORDS:
        COPY.write_text(told)
    assert json.loads(COPY.read_text()) == json.loads(told)
