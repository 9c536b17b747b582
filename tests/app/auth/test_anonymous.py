"""Callers without a key, over HTTP: served where the operator says so, by their network, within their quota, and never by mistake."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.auth import keys
from app.auth.service import revoke_key
from app.core import claims
from app.core.db.metadata import TABLES
from tests.fixtures.api import Api, RunApi

pytestmark = pytest.mark.anyio

OPEN: dict[str, Any] = {"anonymous": True, "anonymous_images_per_day": 2, "anonymous_images_per_month": 3}
BEHIND_A_PROXY: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"]}


async def order(api: Api, address: str | None = None, model: str = "flux-nano", **body: Any) -> httpx.Response:
    headers = {} if address is None else {"x-forwarded-for": address}
    return await api.http.post(f"/v1/{model}", json={"prompt": "a red apple"} | body, headers=headers)


async def test_nobody_is_served_without_a_key_unless_the_operator_says_so(api: Api) -> None:
    answer = await order(api)
    assert (answer.status_code, answer.json()["detail"]) == (403, "Not authenticated - Invalid Authentication")


async def test_images_until_the_quota_ends_then_a_429_that_says_when_it_renews(run_api: RunApi) -> None:
    async with run_api(free=OPEN) as api:
        await api.install("flux-nano")
        first = await order(api)
        assert (first.status_code, first.json()["cost"]) == (200, 0)
        assert '"day";r=1;t=86400, "month";r=2' in first.headers["ratelimit"]
        assert '"day";q=2;w=86400;qu="images"' in first.headers["ratelimit-policy"]
        await api.finish(await api.claim())
        polled = (await api.http.get(first.json()["polling_url"])).json()
        assert (polled["status"], polled["cost"]) == ("Ready", 0)
        assert (await api.http.get(polled["result"]["sample"])).content == b"picture"
        assert (await order(api)).status_code == 200
        api.clock.advance(6 * 3600)
        refused = await order(api)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, str(18 * 3600))
        assert "2 images a day are free" in refused.json()["message"]
        assert "they renew at 2026-01-02T00:00:00Z" in refused.json()["message"]
        api.clock.advance(18 * 3600)
        assert (await order(api)).status_code == 200
        spent = await order(api)
        assert "they renew at 2026-02-01T00:00:00Z" in spent.json()["message"]
        assert await api.breaches() == []


async def test_what_fails_is_given_back_to_the_day_of_its_submit(run_api: RunApi) -> None:
    async with run_api(free=OPEN) as api:
        await api.install("flux-nano")
        assert [(await order(api)).status_code for _ in range(3)] == [200, 200, 429]
        claim = await api.claim()
        async with api.parts.database.write() as session:
            failed = claims.Failed("content", "x", retryable=False, state="content_moderated")
            await claims.settle_failed(session, *claim.held, failed, api.clock.utc_now(), 3)
        assert [(await order(api)).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-key": "junk"},
        {"x-key": keys.new_key()},
        {"authorization": "Bearer junk"},
        {"authorization": "Key junk"},
        {"authorization": "Bearer junk", "x-key": ""},
    ],
)
async def test_a_bad_key_is_403_and_never_nobody(run_api: RunApi, headers: dict[str, str]) -> None:
    async with run_api(free=OPEN) as api:
        await api.install("flux-nano")
        answer = await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers=headers)
        assert answer.status_code == 403


async def test_a_revoked_key_is_403_and_an_empty_one_is_none(run_api: RunApi) -> None:
    async with run_api(free=OPEN) as api:
        await api.install("flux-nano")
        ann = await api.account()
        async with api.parts.database.write() as session:
            await revoke_key(session, ann.key_id, api.clock.utc_now())
        assert (await ann.post()).status_code == 403
        for headers in ({"x-key": ""}, {"authorization": "Bearer "}, {"authorization": "Basic cHJveHk6eA=="}):
            answer = await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers=headers)
            assert answer.status_code in (200, 429)


async def test_each_network_has_its_own_quota_and_the_service_keeps_no_address(run_api: RunApi) -> None:
    async with run_api(free=OPEN | {"anonymous_images_per_day": 1}, gateway=BEHIND_A_PROXY) as api:
        await api.install("flux-nano")
        for address, status in (
            ("192.0.2.7", 200), ("192.0.2.7", 429), ("203.0.113.1, 192.0.2.7", 429), ("192.0.2.8", 200),
            ("2001:db8:1:2::1", 200), ("2001:db8:1:2:ffff::9", 429), ("2001:db8:1:3::1", 200), ("junk", 403),
        ):  # fmt: skip
            assert (await order(api, address)).status_code == status, address
        assert (await order(api)).status_code == 403
        async with api.parts.database.read() as session:
            stored = str([tuple(row) for table in TABLES for row in await session.execute(select(table.__table__))])
        assert "192.0.2" not in stored
        assert "2001:db8" not in stored
        assert "192.0.2" not in api.logs.getvalue()


async def test_all_networks_together_have_a_day_too(run_api: RunApi) -> None:
    async with run_api(free=OPEN | {"anonymous_images_per_day_in_all": 3}, gateway=BEHIND_A_PROXY) as api:
        await api.install("flux-nano")
        statuses = [(await order(api, f"192.0.2.{host}")).status_code for host in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = await order(api, "192.0.2.9")
        assert "the 3 images a day for callers without a key are taken; they renew at" in refused.json()["message"]
        assert (await (await api.account()).post()).status_code == 200
        api.clock.advance(24 * 3600)
        assert (await order(api, "192.0.2.9")).status_code == 200


async def test_a_proxy_that_nobody_has_configured_opens_nothing(run_api: RunApi) -> None:
    async with run_api(free=OPEN) as api:
        await api.install("flux-nano")
        assert (await order(api, "192.0.2.7")).status_code == 403


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-origin", 200), ("none", 200)])
async def test_a_page_of_another_site_draws_nothing(run_api: RunApi, site: str, status: int) -> None:
    async with run_api(free=OPEN) as api:
        await api.install("flux-nano")
        headers = {"sec-fetch-site": site}
        assert (await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers=headers)).status_code == status


async def test_only_some_models_and_sizes_are_free(run_api: RunApi) -> None:
    async with run_api(
        free=OPEN | {"models": ["flux-nano"], "max_pixels": 128 * 128}, aliases={"flux-2-pro": "flux-nano"}
    ) as api:
        await api.install("flux-nano")
        assert (await order(api, width=128, height=128)).status_code == 200
        for refused in (
            await order(api, width=144, height=128),
            await order(api, model="flux-2-pro", width=128, height=128),
        ):
            assert refused.status_code == 403
            assert "free images are flux-nano up to 16384 pixels" in refused.json()["message"]


async def test_a_task_without_a_key_is_seen_through_its_address_alone(run_api: RunApi) -> None:
    async with run_api(free=OPEN) as api:
        await api.install("flux-nano")
        task = (await order(api)).json()
        assert (await api.http.get("/v1/get_result", params={"id": task["id"]})).status_code == 404
        assert (await api.http.get(task["polling_url"])).status_code == 200


async def test_what_is_left_can_be_asked_for_without_a_key(run_api: RunApi) -> None:
    async with run_api(free=OPEN) as api:
        await api.install("flux-nano")
        before = (await api.http.get("/v1/account")).json()
        await order(api)
        after = (await api.http.get("/v1/account")).json()
        assert [one["remaining"] for one in before["free"]] == [2, 3]
        assert [one["remaining"] for one in after["free"]] == [1, 2]
        renews = api.clock.utc_now() + timedelta(days=1)
        assert after["free"][0]["renews_at"] == f"{renews:%Y-%m-%dT%H:%M:%SZ}"
        assert (after["plan"]["name"], after["credits"]) == ("anonymous", None)
        for path in ("/v1/account/keys", "/v1/admin/accounts", "/v1/account/events"):
            assert (await api.http.get(path)).status_code == 401
        assert (await api.http.get("/v1/credits")).status_code == 403
