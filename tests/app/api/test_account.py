"""Self-service over HTTP: what a caller sees of its account, and what it may do with keys."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.scopes import Scope
from app.auth.service import create_key
from app.core import claims
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio

KEYS = "/v1/account/keys"


async def ask(customer: Customer, method: str, path: str, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"x-key": key or customer.key}
    json = body if method in ("POST", "PATCH") else None
    return await customer.api.http.request(method, path, json=json, headers=headers)


async def works(api: Api, key: str) -> bool:
    return (await api.http.get("/v1/account", headers={"x-key": key})).status_code == 200


async def test_an_account_sees_its_plan_its_credits_and_what_is_under_way(api: Api, ann: Customer) -> None:
    await ann.submit(width=384, height=384)
    seen = (await ask(ann, "GET", "/v1/account")).json()
    assert (seen["id"], seen["name"], seen["plan"]["name"], seen["active"]) == (ann.account_id, "ann", "standard", 1)
    assert (seen["credits"], seen["held"], seen["free"]) == (99.9, 0.1, [])


async def test_a_missing_key_is_401_as_problem_json(api: Api) -> None:
    for path in ("/v1/account", KEYS, "/v1/admin/accounts"):
        answer = await api.http.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "not_authenticated"


async def test_a_key_is_shown_once_and_can_be_used_listed_and_revoked(api: Api, ann: Customer) -> None:
    made = (await ask(ann, "POST", KEYS, name="laptop", scopes=["jobs:read"], spending_limit=2.5)).json()
    assert await works(api, made["key"])
    (listed,) = [one for one in (await ask(ann, "GET", KEYS)).json() if one["id"] == made["id"]]
    assert (listed["name"], listed["scopes"], listed["spending_limit"]) == ("laptop", ["jobs:read"], 2.5)
    assert made["key"] not in str(listed)
    assert listed["key"].endswith(made["key"].rpartition("_")[0][-4:])
    assert (await ask(ann, "DELETE", f"{KEYS}/{made['id']}")).status_code == 204
    assert not await works(api, made["key"])
    assert (await ask(ann, "DELETE", f"{KEYS}/{made['id']}")).status_code == 204
    assert (await ask(ann, "GET", f"{KEYS}/{made['id']}")).json()["revoked_at"] is not None


async def test_rotation_keeps_both_secrets_until_the_overlap_ends(api: Api, ann: Customer) -> None:
    made = (await ask(ann, "POST", f"{KEYS}/{ann.key_id}/rotate", overlap_s=3600)).json()
    assert made["id"] == ann.key_id
    assert await works(api, ann.key)
    assert await works(api, made["key"])
    api.clock.advance(3600)
    assert not await works(api, ann.key)
    assert await works(api, made["key"])
    assert (await ask(ann, "DELETE", f"{KEYS}/{ann.key_id}", made["key"])).status_code == 204
    assert not await works(api, made["key"])


async def test_a_revoked_key_dies_with_both_secrets_and_rotates_no_more(api: Api, ann: Customer) -> None:
    other = (await ask(ann, "POST", KEYS)).json()
    rotated = (await ask(ann, "POST", f"{KEYS}/{other['id']}/rotate", overlap_s=3600)).json()
    await ask(ann, "DELETE", f"{KEYS}/{other['id']}")
    assert not await works(api, other["key"])
    assert not await works(api, rotated["key"])
    again = await ask(ann, "POST", f"{KEYS}/{other['id']}/rotate")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_both_secrets_of_a_rotated_key_share_its_limit(api: Api, ann: Customer) -> None:
    limited = (await ask(ann, "POST", KEYS, name="ci", scopes=["jobs:write"], spending_limit=0.2)).json()
    assert (await ordered(api, limited["key"])).status_code == 200
    rotated = (await ask(ann, "POST", f"{KEYS}/{limited['id']}/rotate", overlap_s=3600)).json()
    assert (await ordered(api, rotated["key"])).status_code == 200
    assert [(await ordered(api, key)).status_code for key in (limited["key"], rotated["key"])] == [402, 402]
    seen = (await ask(ann, "GET", f"{KEYS}/{limited['id']}")).json()
    assert (seen["name"], seen["spending_limit"], seen["spent"]) == ("ci", 0.2, 0.2)
    assert seen["key"].endswith(rotated["key"].rpartition("_")[0][-4:])


async def ordered(api: Api, key: str) -> httpx.Response:
    body = {"prompt": "a red apple", "width": 384, "height": 384}
    return await api.http.post("/v1/flux-nano", json=body, headers={"x-key": key})


async def test_a_spending_limit_is_reached_raised_and_given_back_by_failures(api: Api, ann: Customer) -> None:
    limited = (await ask(ann, "POST", KEYS, scopes=["jobs:write"], spending_limit=0.15)).json()
    assert (await ordered(api, limited["key"])).status_code == 200
    refused = await ordered(api, limited["key"])
    assert refused.status_code == 402
    assert "0.1 credits of 0.15" in refused.json()["message"]
    raised = await ask(ann, "PATCH", f"{KEYS}/{limited['id']}", spending_limit=None)
    assert (raised.json()["spending_limit"], raised.json()["spent"]) == (None, 0.1)
    assert (await ordered(api, limited["key"])).status_code == 200
    api.clock.advance(api.parts.settings.queue.deadline_s + 1)
    async with api.parts.database.write() as session:
        await claims.sweep(session, api.clock.utc_now(), 3)
    assert (await ask(ann, "GET", f"{KEYS}/{limited['id']}")).json()["spent"] == 0
    assert await api.breaches() == []


async def test_nobody_gives_a_key_more_than_the_own_one_has(api: Api, ann: Customer) -> None:
    refused = await ask(ann, "POST", KEYS, scopes=["admin"])
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    keeper = (await ask(ann, "POST", KEYS, scopes=["keys:write"])).json()["key"]
    assert (await ask(ann, "POST", KEYS, keeper, scopes=["jobs:write"])).status_code == 403
    assert (await ask(ann, "POST", KEYS, keeper, scopes=["keys:write"])).status_code == 201
    limited = (await ask(ann, "POST", KEYS, spending_limit=1)).json()
    assert (await ask(ann, "POST", KEYS, limited["key"], scopes=["jobs:write"])).status_code == 403
    assert (await ask(ann, "PATCH", f"{KEYS}/{limited['id']}", limited["key"], spending_limit=9)).status_code == 403


async def test_an_expiry_ends_a_key_by_itself(api: Api, ann: Customer) -> None:
    ends = api.clock.utc_now() + timedelta(hours=1)
    brief = (await ask(ann, "POST", KEYS, expires_at=ends.isoformat())).json()["key"]
    assert await works(api, brief)
    api.clock.advance(3600)
    assert not await works(api, brief)
    late = await ask(ann, "POST", KEYS, expires_at=ends.isoformat())
    assert (late.status_code, late.json()["code"]) == (422, "invalid_request")


async def test_every_change_of_a_key_leaves_an_event_and_no_secret(api: Api, ann: Customer) -> None:
    made = (await ask(ann, "POST", KEYS, name="a")).json()
    await ask(ann, "PATCH", f"{KEYS}/{made['id']}", name="b")
    rotated = (await ask(ann, "POST", f"{KEYS}/{made['id']}/rotate")).json()
    await ask(ann, "DELETE", f"{KEYS}/{made['id']}")
    events = (await ask(ann, "GET", "/v1/account/events")).json()
    assert [one["action"] for one in events] == ["key.revoked", "key.rotated", "key.changed", "key.created"]
    assert {one["actor"] for one in events} == {f"key:{ann.key_id}"}
    assert all(one["request_id"] for one in events)
    assert events[1]["detail"] == {"overlap_s": 86400}
    assert not any(key in str(events) for key in (made["key"], rotated["key"]))
    older = (await api.http.get("/v1/account/events", params={"before": events[1]["id"]}, headers=ann.headers)).json()
    assert older == events[2:]


@pytest.mark.parametrize(
    "body", [{"name": "a\0b"}, {"spending_limit": -1}, {"spending_limit": 0.0000001}, {"rights": []}, {"scopes": ["x"]}]
)
async def test_a_key_that_makes_no_sense_is_refused(api: Api, ann: Customer, body: dict[str, Any]) -> None:
    answer = await ask(ann, "POST", KEYS, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_key_without_the_scope_manages_nothing(api: Api, ann: Customer) -> None:
    async with api.parts.database.write() as session:
        now = api.clock.utc_now()
        reader = await create_key(session, ann.account_id, api.parts.secrets, now, scopes=[Scope.JOBS_READ])
    assert (await ask(ann, "GET", KEYS, reader.token)).status_code == 403
    seen = (await ask(ann, "GET", "/v1/account", reader.token)).json()
    assert (seen["credits"], seen["held"], seen["scopes"]) == (None, None, ["jobs:read"])


async def test_a_key_revoked_at_one_gateway_is_refused_by_the_next_request_at_another(
    run_api: RunApi, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> None:
    shared = tmp_path_factory.mktemp("shared") / "darkroom.sqlite3"
    shutil.copy(sqlite_template, shared)
    common = {
        "database": {"url": f"sqlite:///{shared}"},
        "secrets": {"key_pepper": "p" * 16, "url_signing_key": "s" * 16},
    }
    async with run_api(**common) as one, run_api(**common) as other:
        ann = await one.account()
        assert await works(other, ann.key)
        assert (await ask(ann, "DELETE", f"{KEYS}/{ann.key_id}")).status_code == 204
        assert not await works(other, ann.key)
