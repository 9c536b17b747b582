"""The operators' API: accounts, credits that a payment's webhook may send twice, keys, and the record of all of it."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.auth.scopes import Scope
from app.auth.service import create_key, open_account
from app.core import ledger
from tests.fixtures.api import Api, Customer

pytestmark = pytest.mark.anyio

ACCOUNTS = "/v1/admin/accounts"


@pytest.fixture
async def root(api: Api) -> Customer:
    """An operator."""
    now = api.clock.utc_now()
    async with api.parts.database.write() as session:
        account = await open_account(session, "operators", now)
        key = await create_key(session, account.id, api.parts.secrets, now, scopes=[Scope.ADMIN])
    return Customer(api, account.id, key.id, key.token)


async def ask(root: Customer, method: str, path: str, **body: Any) -> httpx.Response:
    json = body if method in ("POST", "PATCH") else None
    return await root.api.http.request(method, path, json=json, headers=root.headers)


async def opened(root: Customer, name: str = "bob", plan: str = "standard") -> str:
    answer = await ask(root, "POST", ACCOUNTS, name=name, plan=plan)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def test_an_account_is_opened_once_listed_and_put_on_another_plan(root: Customer) -> None:
    bob = await opened(root)
    again = await ask(root, "POST", ACCOUNTS, name="bob")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    changed = await ask(root, "PATCH", f"{ACCOUNTS}/{bob}", plan="pro")
    assert changed.json()["plan"] == "pro"
    unknown = await ask(root, "PATCH", f"{ACCOUNTS}/{bob}", plan="gold")
    assert (unknown.status_code, "anonymous, free, pro, standard" in unknown.json()["detail"]) == (422, True)
    listed = (await ask(root, "GET", ACCOUNTS)).json()
    assert [one["name"] for one in listed] == ["bob", "operators"]
    rest = await root.api.http.get(ACCOUNTS, params={"after": "bob", "limit": 5}, headers=root.headers)
    assert [one["name"] for one in rest.json()] == ["operators"]


async def test_a_payment_that_is_told_twice_is_added_once(root: Customer) -> None:
    bob = await opened(root)
    payment = {"kind": "purchase", "credits": 12.5, "reference": "pay_1", "reason": "invoice 1"}
    answers = await asyncio.gather(*(ask(root, "POST", f"{ACCOUNTS}/{bob}/credits", **payment) for _ in range(8)))
    assert [one.status_code for one in answers] == [200] * 8
    assert sorted(one.json()["repeated"] for one in answers) == [False] + [True] * 7
    assert {one.json()["account"]["credits"] for one in answers} == {12.5}
    other_amount = await ask(root, "POST", f"{ACCOUNTS}/{bob}/credits", **payment | {"credits": 13})
    assert (other_amount.status_code, other_amount.json()["code"]) == (409, "conflict")
    other_kind = await ask(root, "POST", f"{ACCOUNTS}/{bob}/credits", **payment | {"kind": "grant"})
    assert other_kind.json()["account"]["credits"] == 25
    assert await root.api.breaches() == []


async def test_credits_may_expire_but_not_before_they_are_there(root: Customer) -> None:
    bob, now = await opened(root), root.api.clock.utc_now()
    grant = {"kind": "grant", "credits": 1, "reference": "promo", "reason": "welcome"}
    path = f"{ACCOUNTS}/{bob}/credits"
    late = await ask(root, "POST", path, **grant, expires_at=now.isoformat())
    assert (late.status_code, late.json()["code"]) == (422, "invalid_request")
    ends = now + timedelta(days=1)
    assert (await ask(root, "POST", path, **grant, expires_at=ends.isoformat())).json()["account"]["credits"] == 1
    async with root.api.parts.database.write() as session:
        assert await ledger.expire(session, bob, ends) == 1_000_000
    assert (await ask(root, "GET", f"{ACCOUNTS}/{bob}")).json()["credits"] == 0
    assert await root.api.breaches() == []


async def test_an_adjustment_has_a_reason_and_takes_no_more_than_there_is(root: Customer) -> None:
    bob = await opened(root)
    path = f"{ACCOUNTS}/{bob}/adjustments"
    assert (await ask(root, "POST", path, credits=3)).status_code == 422
    assert (await ask(root, "POST", path, credits=3, reason="goodwill")).json()["account"]["credits"] == 3
    assert (await ask(root, "POST", path, credits=-1.000001, reason="a mistake")).json()["account"][
        "credits"
    ] == 1.999999
    too_much = await ask(root, "POST", path, credits=-2, reason="chargeback")
    assert (too_much.status_code, too_much.json()["code"]) == (402, "insufficient_credits")
    assert await root.api.breaches() == []


async def test_operators_make_and_revoke_keys_of_any_account(root: Customer) -> None:
    bob = await opened(root)
    made = (await ask(root, "POST", f"{ACCOUNTS}/{bob}/keys", name="first")).json()
    seen = await root.api.http.get("/v1/account", headers={"x-key": made["key"]})
    assert seen.json()["id"] == bob
    assert [one["id"] for one in (await ask(root, "GET", f"{ACCOUNTS}/{bob}/keys")).json()] == [made["id"]]
    elsewhere = await ask(root, "DELETE", f"{ACCOUNTS}/{root.account_id}/keys/{made['id']}")
    assert elsewhere.status_code == 404
    assert (await ask(root, "DELETE", f"{ACCOUNTS}/{bob}/keys/{made['id']}")).status_code == 204
    assert (await root.api.http.get("/v1/account", headers={"x-key": made["key"]})).status_code == 401


async def test_all_that_operators_do_is_on_record(root: Customer) -> None:
    bob = await opened(root, plan="free")
    payment = {"kind": "grant", "credits": 1, "reference": "promo", "reason": "welcome"}
    for _ in range(2):
        await ask(root, "POST", f"{ACCOUNTS}/{bob}/credits", **payment)
    await ask(root, "POST", f"{ACCOUNTS}/{bob}/adjustments", credits=-0.5, reason="a mistake")
    await ask(root, "PATCH", f"{ACCOUNTS}/{bob}", plan="standard")
    events = (await root.api.http.get("/v1/admin/events", params={"account_id": bob}, headers=root.headers)).json()
    assert [one["action"] for one in events] == [
        "account.changed", "credits.adjusted", "credits.added", "account.opened",
    ]  # fmt: skip
    assert events[0]["detail"] == {"plan": "standard", "was": "free"}
    assert events[2]["detail"] == {
        "kind": "grant", "credits_micro": 1_000_000, "reference": "promo", "reason": "welcome", "expires_at": None,
    }  # fmt: skip
    assert {(one["actor"], one["account_id"]) for one in events} == {(f"key:{root.key_id}", bob)}


@pytest.mark.parametrize("unknown", ["7f1c4d5e-0000-4000-8000-000000000000", "a%00b", "x" * 300])
async def test_an_account_that_is_none_is_404(root: Customer, unknown: str) -> None:
    for method, rest in (("GET", ""), ("PATCH", ""), ("GET", "/keys"), ("POST", "/keys")):
        body = {"plan": "pro"} if method == "PATCH" else {}
        assert (await ask(root, method, f"{ACCOUNTS}/{unknown}{rest}", **body)).status_code == 404
