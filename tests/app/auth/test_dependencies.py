"""Who may call: where a key is looked for, and what junk costs us."""

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.datastructures import Headers

from app.auth import keys
from app.auth.dependencies import presented_key
from app.auth.repository import KEY
from app.auth.scopes import Scope
from app.auth.service import create_key, revoke_key
from app.core.db.engine import Database
from app.core.db.prepared import Prepared
from tests.fixtures.api import Api, Customer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, ""),
        ({"x-key": "a"}, "a"),
        ({"X-Key": " a "}, "a"),
        ({"authorization": "Bearer a"}, "a"),
        ({"Authorization": "bearer  a"}, "a"),
        ({"x-key": "", "authorization": "Bearer a"}, "a"),
        ({"x-key": "a", "authorization": "Bearer b"}, "a"),
        ({"authorization": "Basic a"}, ""),
    ],
)
def test_a_key_comes_in_either_header(headers: dict[str, str], key: str) -> None:
    assert presented_key(Headers(headers)) == key


async def status(api: Api, key: str) -> int:
    return (await api.http.get("/v1/credits", headers={"authorization": f"Bearer {key}"})).status_code


async def test_junk_never_reaches_the_database(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Prepared] = []
    ask = Database.ask

    async def heard(database: Database, prepared: Prepared, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        asked.append(prepared)
        return await ask(database, prepared, values)

    monkeypatch.setattr(Database, "ask", heard)
    assert await status(api, "junk") == 403
    assert await status(api, keys.new_key()[:-1] + "!") == 403
    assert asked == []
    assert await status(api, keys.new_key()) == 403
    assert asked == [KEY]


async def test_a_revoked_key_is_refused_at_once(api: Api, ann: Customer) -> None:
    assert await status(api, ann.key) == 200
    async with api.parts.database.write() as session:
        await revoke_key(session, ann.key_id, api.clock.utc_now())
    assert await status(api, ann.key) == 403


async def test_a_key_without_the_scope_is_told_which_one(api: Api, ann: Customer) -> None:
    async with api.parts.database.write() as session:
        reader = await create_key(
            session, ann.account_id, api.parts.secrets, api.clock.utc_now(), scopes=[Scope.JOBS_READ]
        )
    answer = await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers={"x-key": reader.token})
    assert answer.status_code == 403
    assert "jobs:write" in answer.json()["message"]
    task = await ann.submit()
    polled = await api.http.get("/v1/get_result", params={"id": task["id"]}, headers={"x-key": reader.token})
    assert polled.status_code == 200
