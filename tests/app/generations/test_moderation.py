"""What moderation blocks is a task like others that has ended: its reasons are told in each dialect, and it costs nothing."""

import pytest

from app.core import claims, ledger
from tests.fixtures.api import Api, Customer

pytestmark = pytest.mark.anyio

BLOCKED = "a nude figure on a beach"


async def test_a_blocked_request_polls_as_moderated_with_its_reasons_and_costs_nothing(api: Api, ann: Customer) -> None:
    task = await ann.submit(prompt=BLOCKED)
    polled = (await api.http.get(task["polling_url"])).json()
    assert (polled["status"], polled["result"], polled["cost"]) == ("Request Moderated", None, 0)
    assert polled["details"] == {"model": "flux-nano", "Moderation Reasons": ["Sexual Content"]}
    assert await ann.credits() == 100
    async with api.parts.database.read() as session:
        assert await ledger.verify(session) == []
        waits = await claims.has_work(session, "default", ["flux-nano"], api.clock.utc_now())
    assert not waits


async def test_a_tolerant_caller_is_served(api: Api, ann: Customer) -> None:
    task = await ann.submit(prompt=BLOCKED, safety_tolerance=6)
    assert (await api.http.get(task["polling_url"])).json()["status"] == "Pending"


async def test_openais_dialect_says_so_at_once(api: Api, ann: Customer) -> None:
    body = {"prompt": BLOCKED, "model": "flux-nano"}
    answer = await api.http.post("/v1/images/generations", json=body, headers=ann.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "moderation_blocked")
    assert answer.headers["x-should-retry"] == "false"
    assert await ann.credits() == 100
