"""Two tenants: every route with an id, asked with the other's key, answers as if there were none, and changes nothing.

The routes come from the application's own description, so that a new one is in this list before anybody thinks of it. One whose
parameters nobody has named here fails the test.
"""

from typing import Any

import pytest
from sqlalchemy import select

from app.core.db.metadata import TABLES
from app.core.db.tables.task import Task
from app.webhooks.outbox import Receiver, waiting
from tests.fixtures.api import Api, Customer
from tests.fixtures.pictures import picture_file

pytestmark = pytest.mark.anyio

METHODS = ("get", "post", "put", "patch", "delete")
VOLATILE = {"leader_lock", "worker", "registration"}
LAST_USED = "last_used_at"
PUBLIC = {
    "/v1/models/{name}",
    "/v1/models/darkroom/{name}/predictions",
    "/v1/licenses/models/{model_slug}/usage",
}
"""What is named there belongs to nobody."""


async def belongings(ann: Customer) -> dict[str, str]:
    """One thing of ann's for every parameter that a route may have."""
    task = await ann.submit()
    claim = await ann.api.claim()
    await ann.api.finish(claim)
    return {
        "id": task["id"],
        "task_id": task["id"],
        "account_id": ann.account_id,
        "key_id": ann.key_id,
        "generation_id": claim.generation_id,
        "attempt": str(claim.attempt),
        "extension": claim.spec.output_format,
        "webhook_id": await ended_webhook(ann, task["id"]),
        "file_id": await uploaded_file(ann),
    }


async def uploaded_file(ann: Customer) -> str:
    """A picture that its owner could use, look at and delete."""
    headers = {**ann.headers, "content-type": "image/png"}
    answer = await ann.api.http.post("/v1/files", content=picture_file(), headers=headers)
    return answer.json()["id"]


async def ended_webhook(ann: Customer, task_id: str) -> str:
    """One that its owner could have sent again; the gateway's sender leaves it alone."""
    async with ann.api.parts.database.write() as session:
        task = (await session.scalars(select(Task).where(Task.id == task_id))).one()
        webhook = waiting(Receiver("https://example.com/hook", None, "https://darkroom.test"), task)
        webhook.state, webhook.body = "ended", "{}"
        session.add(webhook)
        return webhook.id


def routes_with_an_id(api: Api) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Method, path and the parameters that name something, of every route that takes one."""
    found: list[tuple[str, str, list[dict[str, Any]]]] = []
    for path, operations in api.app.openapi()["paths"].items():
        if path in PUBLIC:
            continue
        for method in METHODS:
            parameters = operations.get(method, {}).get("parameters", [])
            naming = [one for one in parameters if one["in"] == "path" or (one["in"] == "query" and names_a_thing(one))]
            if naming:
                found.append((method, path, naming))
    return found


def names_a_thing(parameter: dict[str, Any]) -> bool:
    return parameter["name"] == "id" or parameter["name"].endswith("_id")


async def everything(api: Api) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, but for when a key was last used."""
    async with api.parts.database.read() as session:
        return {
            table.__tablename__: [
                tuple(row)
                for row in await session.execute(
                    select(*(column for column in table.__table__.columns if column.name != LAST_USED))
                )
            ]
            for table in TABLES
            if table.__tablename__ not in VOLATILE
        }


async def test_a_bare_id_of_another_tenant_is_404_and_changes_nothing(api: Api, ann: Customer) -> None:
    things = await belongings(ann)
    bob = await api.account("bob")
    before = await everything(api)
    routes = routes_with_an_id(api)
    named = {
        "/v1/get_result",
        "/v1/account/keys/{key_id}",
        "/v1/admin/accounts/{account_id}",
        "/v1/files/{file_id}/content",
    }
    assert named <= {one[1] for one in routes}
    for method, path, parameters in routes:
        values = {one["name"]: things[one["name"]] for one in parameters}
        query = {one["name"]: values[one["name"]] for one in parameters if one["in"] == "query"}
        body = {} if method in ("post", "put", "patch") else None
        answer = await api.http.request(method, path.format(**values), params=query, json=body, headers=bob.headers)
        assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"
        assert await everything(api) == before, f"{method} {path}"


async def test_the_owner_finds_what_the_other_does_not(api: Api, ann: Customer) -> None:
    things = await belongings(ann)
    file = f"/v1/files/{things['file_id']}"
    for path in (f"/v1/get_result?id={things['id']}", f"/v1/account/keys/{ann.key_id}", file, f"{file}/content"):
        assert (await api.http.get(path, headers=ann.headers)).status_code == 200
