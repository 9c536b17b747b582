"""A request that was answered is answered again, whether or not its judge is there."""

from typing import Any

import pytest

from tests.fixtures.api import RunApi
from tests.fixtures.classifier import ClassifierServer

pytestmark = pytest.mark.anyio


async def test_a_retry_is_answered_while_the_classifier_is_away_and_a_new_request_is_not(run_api: RunApi) -> None:
    says = [b"{}"]
    async with (
        ClassifierServer(lambda _: says[0]).running() as url,
        run_api(moderation={"classifier_url": url}) as api,
    ):
        await api.install("flux-nano")
        ann = await api.account()
        sent: dict[str, Any] = {
            "json": {"prompt": "a red apple"},
            "headers": {**ann.headers, "idempotency-key": "one"},
        }
        first = await api.http.post("/v1/flux-nano", **sent)
        says[0] = b"nonsense"
        again = await api.http.post("/v1/flux-nano", **sent)
        assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
        assert again.headers["idempotent-replayed"] == "true"
        assert (await ann.post()).status_code == 503
