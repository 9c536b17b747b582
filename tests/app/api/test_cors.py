"""Pages of other sites: let in where the operator names them, told what they may read, and never asked for cookies."""

import pytest

from app.core.config import CorsSettings
from tests.fixtures.api import Api, RunApi

pytestmark = pytest.mark.anyio

STUDIO = "https://studio.example"
ASKS = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type, idempotency-key, x-stainless-lang",
}


async def test_by_default_no_page_is_let_in(api: Api) -> None:
    asked = await api.http.options("/v1/flux-nano", headers={"origin": STUDIO, **ASKS})
    answer = await api.http.get("/v1/credits", headers={"origin": STUDIO})
    for one in (asked, answer):
        assert not any(name.startswith("access-control") for name in one.headers)


async def test_a_named_page_is_let_in_and_reads_what_clients_need(run_api: RunApi) -> None:
    async with run_api(cors={"origins": [STUDIO]}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        asked = await api.http.options("/v1/flux-nano", headers={"origin": STUDIO, **ASKS})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, STUDIO)
        assert asked.headers["access-control-allow-headers"] == ASKS["access-control-request-headers"]
        assert "x-request-id" in asked.headers
        answer = await ann.post(seed=1)
        assert "access-control-allow-origin" not in answer.headers
        headers = {**ann.headers, "origin": STUDIO}
        for answer in (
            await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers=headers),
            await api.http.post("/v1/flux-nano", json={"prompt": "a"}, headers={"origin": STUDIO}),
            await api.http.get("/v1/nothing/here", headers=headers),
        ):
            assert answer.headers["access-control-allow-origin"] == STUDIO, answer.status_code
            assert answer.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in answer.headers
            exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
            assert {"x-request-id", "retry-after", "x-ratelimit-remaining", "etag", "content-range"} <= set(exposed)
        other = await api.http.options("/v1/flux-nano", headers={"origin": "https://studio.example.evil", **ASKS})
        assert other.status_code == 400
        assert "access-control-allow-origin" not in other.headers


async def test_all_pages_may_be_let_in_but_never_with_cookies(run_api: RunApi) -> None:
    async with run_api(cors={"origins": ["*"]}) as api:
        for headers in ({"origin": STUDIO}, {"origin": STUDIO, "cookie": "a=b"}):
            answer = await api.http.get("/livez", headers=headers)
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["studio.example", "https://studio.example/", "https://*.example", "null", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="origins"):
        CorsSettings(origins=[origin])
