"""Usage, statement and grants: they agree with the ledger to the micro-credit, and show nobody else's."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from app.auth.service import create_key
from app.core import claims, ledger
from app.core.claims import Failed
from app.core.db.tables.ledger import CreditKind
from tests.fixtures.api import MICRO, Api, Customer, RunApi

pytestmark = pytest.mark.anyio

DAY_S = 86400.0
GIFTS: tuple[tuple[CreditKind, int | None], ...] = (
    ("grant", None), ("grant", 9), ("free", 3), ("purchase", 1), ("free", -1)
)  # fmt: skip
"""Kinds of credits and in how many days they end."""


async def read(customer: Customer, path: str, **query: Any) -> Any:
    answer = await customer.api.http.get(f"/v1/{path}", params=query, headers=customer.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def make(ann: Customer, *, fails: bool = False, **body: Any) -> str:
    """One task to its end."""
    api = ann.api
    task = await ann.submit(**body)
    claim = await api.claim()
    if not fails:
        await api.finish(claim)
        return task["id"]
    async with api.parts.database.write() as session:
        failed = Failed("broken", "broken", retryable=False)
        await claims.settle_failed(session, *claim.held, failed, api.clock.utc_now(), 3)
    return task["id"]


async def with_second_key(ann: Customer) -> Customer:
    now = ann.api.clock.utc_now()
    async with ann.api.parts.database.write() as session:
        key = await create_key(session, ann.account_id, ann.api.parts.secrets, now, name="=HYPERLINK(1)")
    return Customer(ann.api, ann.account_id, key.id, key.token)


async def test_usage_by_day_model_and_key_on_either_database(run_api: RunApi, database_url: str) -> None:
    async with run_api(database={"url": database_url}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        other = await with_second_key(ann)
        await make(ann)
        await make(ann, fails=True)
        await make(other, width=384, height=384)
        api.clock.advance(DAY_S)
        await make(other)
        await ann.submit()
        bob = await api.account("bob")
        found = await read(ann, "usage")
        assert [(row["key_id"], row["images"], row["failed"], row["cost"]) for row in found["rows"][:2]] == sorted(
            [(ann.key_id, 1, 1, 0.1), (other.key_id, 1, 0, 0.1)]
        )
        assert len(found["rows"]) == 3
        assert (found["cost_micro"], {row["model"] for row in found["rows"]}) == (300_000, {"flux-nano"})
        by_day = await read(ann, "usage", group_by="day")
        assert [(row["images"], row["failed"], row["cost_micro"]) for row in by_day["rows"]] == [
            (2, 1, 200_000), (1, 0, 100_000)
        ]  # fmt: skip
        last = by_day["rows"][1]["day"]
        assert (await read(ann, "usage", group_by="day", **{"from": last, "to": last}))["rows"] == by_day["rows"][1:]
        assert (await read(ann, "usage", group_by=""))["rows"][0]["images"] == 3
        nothing = await read(bob, "usage", group_by="")
        assert (nothing["rows"], nothing["cost"]) == ([], 0)
        await check_the_statement(ann)


async def check_the_statement(ann: Customer) -> None:
    """Pages of two join without a gap; each balance follows from the one before; the first is what there is now."""
    whole = (await read(ann, "account/statement"))["entries"]
    entries: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await read(ann, "account/statement", limit=2, **cursor)
        entries += page["entries"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert entries == whole
    assert entries[0]["balance"] == await ann.credits()
    available = held = 0
    for entry in reversed(entries):
        available, held = available + round(entry["change"] * MICRO), held + round(entry["held_change"] * MICRO)
        assert (round(entry["balance"] * MICRO), round(entry["held"] * MICRO)) == (available, held)
    assert [entry["kind"] for entry in reversed(entries)][:3] == ["purchase", "reserve", "settle"]


async def test_csv_has_the_groups_and_no_formulas(api: Api, ann: Customer) -> None:
    other = await with_second_key(ann)
    await make(other)
    for headers, query in (({}, {"format": "csv"}), ({"accept": "text/csv"}, {})):
        answer = await api.http.get("/v1/usage", params=query, headers={**ann.headers, **headers})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        (row,) = csv.DictReader(io.StringIO(answer.text))
        assert (row["key_name"], row["images"], row["cost"], row["cost_micro"]) == (
            "'=HYPERLINK(1)",
            "1",
            "0.1",
            "100000",
        )


@pytest.mark.parametrize(
    "query",
    [
        {"group_by": "month"},
        {"from": "2026-13-01"},
        {"from": "2026-02-02", "to": "2026-02-01"},
        {"from": "2020-01-01", "to": "2026-01-01"},
        {"to": "9999-12-31"},
    ],
)
async def test_questions_without_an_answer_are_refused(ann: Customer, query: dict[str, str]) -> None:
    answer = await ann.api.http.get("/v1/usage", params=query, headers=ann.headers)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("cursor", ["", "1", "a.b.c", "1.2.99999999999999999999", "9223372036854775808.0.0"])
async def test_a_cursor_that_no_page_ends_with_is_refused(ann: Customer, cursor: str) -> None:
    answer = await ann.api.http.get("/v1/account/statement", params={"cursor": cursor}, headers=ann.headers)
    assert answer.status_code == 422


async def test_a_task_shows_how_its_price_came_about_after_its_picture_is_gone(api: Api, ann: Customer) -> None:
    ready, failed = await make(ann, steps=24), await make(ann, fails=True)
    api.clock.advance(2 * DAY_S)
    (one,) = await read(ann, f"usage/tasks/{ready}")
    assert (one["price"], one["cost"], one["state"]) == (0.15, 0.15, "ready")
    assert [(line["item"], line["micro"]) for line in one["breakdown"]] == [
        ("first_megapixel", 100_000), ("further_steps", 50_000)
    ]  # fmt: skip
    (other,) = await read(ann, f"usage/tasks/{failed}")
    assert (other["price"], other["cost"]) == (0.1, 0)
    bob = await api.account("bob")
    for path in (f"usage/tasks/{ready}", "usage/tasks/x"):
        assert (await api.http.get(f"/v1/{path}", headers=bob.headers)).status_code == 404
    assert (await read(bob, "account/statement"))["entries"][0]["kind"] == "purchase"


async def test_grants_are_listed_in_the_order_in_which_they_are_spent(api: Api, ann: Customer) -> None:
    now = api.clock.utc_now()
    async with api.parts.database.write() as session:
        for kind, days in GIFTS:
            ends = None if days is None else now + timedelta(days=days)
            await ledger.credit(session, ann.account_id, MICRO, kind, None, "a", "gift", now, expires_at=ends)
    found = await read(ann, "account/grants")
    assert [(one["kind"], one["remaining"]) for one in found] == [
        ("free", 1), ("promotional", 1), ("promotional", 1), ("purchased", 1), ("purchased", 100)
    ]  # fmt: skip
    await ann.submit()
    assert (await read(ann, "account/grants"))[0]["remaining"] == 0.9
