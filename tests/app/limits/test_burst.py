"""Burst limits on the wire: what is counted, for whom, what the headers say, and that a replay is no request."""

import re

import httpx
import pytest
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.limits.headers import REPLAYED_HEADER
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio

TIGHT = {"burst": 3, "submits_per_s": 0.5, "poll_burst": 4, "polls_per_s": 1.0}


def standing(answer: httpx.Response, name: str) -> dict[str, int]:
    """The parameters that an answer gives of one limit."""
    items = answer.headers["ratelimit-policy"].split(", ") + answer.headers["ratelimit"].split(", ")
    own = [item for item in items if item.startswith(f'"{name}";')]
    return {key: int(value) for item in own for key, value in re.findall(r";(\w+)=(\d+)", item)}


async def test_submits_have_a_burst_for_all_keys_of_an_account(run_api: RunApi) -> None:
    async with run_api(limits=TIGHT) as api:
        await api.install("flux-nano")
        ann, bob = await api.account("ann"), await api.account("bob")
        also_ann = await api.account("ann", credits=0)
        answers = [await ann.post(), await also_ann.post(), await ann.post(), await also_ann.post()]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert standing(answers[0], "burst") == {"q": 3, "w": 6, "r": 2, "t": 2}
        refused = answers[3]
        assert refused.headers["retry-after"] == "2"
        assert standing(refused, "burst")["r"] == 0
        assert standing(refused, "burst")["t"] <= int(refused.headers["retry-after"])
        assert set(refused.json()) == {"detail", "message"}
        assert (await bob.post()).status_code == 200
        api.clock.advance(2)
        assert [(await ann.post()).status_code for _ in range(2)] == [200, 429]


async def test_the_default_lets_a_hundred_submits_pass_at_once(run_api: RunApi) -> None:
    async with run_api() as api:
        ann = await api.account()
        answers = [await ann.post("flux-2-dev") for _ in range(101)]
        assert [one.status_code for one in answers] == [503] * 100 + [429]


async def test_reading_has_a_limit_of_its_own_by_key_or_by_task(run_api: RunApi) -> None:
    async with run_api(limits=TIGHT) as api:
        await api.install("flux-nano")
        ann = await api.account()
        task = await ann.submit()
        polled = [await api.http.get(task["polling_url"]) for _ in range(5)]
        assert [one.status_code for one in polled] == [200] * 4 + [429]
        first = polled[0].headers
        assert (first["x-ratelimit-limit"], first["x-ratelimit-remaining"]) == ("4", "3")
        assert float(first["x-ratelimit-reset"]) == pytest.approx(api.clock.utc_now().timestamp() + 1)
        assert polled[4].headers["retry-after"] == "1"
        assert (await api.http.get("/v1/credits", headers=ann.headers)).status_code == 200
        assert (await ann.post()).status_code == 200
        assert (await api.http.get("/livez")).headers.get("ratelimit") is None


class Replaying:
    """Marks every answer as a replay, as the service does for a known Idempotency-Key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REPLAYED_HEADER] = "true"
            await send(message)

        await self._app(scope, receive, marked)


async def test_a_replay_is_given_back(run_api: RunApi) -> None:
    async with run_api(limits=TIGHT) as api:
        stack = api.app.middleware_stack or api.app.build_middleware_stack()
        layer = stack
        while type(layer).__name__ != "LimitHeaders":
            layer = layer._app if hasattr(layer, "_app") else layer.app  # type: ignore[attr-defined]  # either's name for it
        layer._app = Replaying(layer._app)  # type: ignore[attr-defined]  # the layer found above
        api.app.middleware_stack = stack
        ann = await api.account()
        assert [(await ann.post("flux-2-dev")).status_code for _ in range(10)] == [503] * 10


async def test_an_order_says_how_many_more_may_be_under_way(api: Api, ann: Customer) -> None:
    assert standing(await ann.post(), "active") == {"q": 24, "r": 23}
    assert standing(await ann.post(), "active") == {"q": 24, "r": 22}
    assert '"active";q=24;qu="concurrent-requests"' in (await ann.post()).headers["ratelimit-policy"]
