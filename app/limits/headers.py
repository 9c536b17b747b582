"""Writes what was noted of limits into every answer, in the draft standard's headers and in those that BFL's clients know."""

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.clock import Clock
from app.limits.burst import Receipt
from app.limits.standing import Standing, collect

REPLAYED_HEADER = "idempotent-replayed"


class LimitHeaders:
    """Around every request: collects its limits; a replayed answer counts as no request."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        standings = collect()

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                if REPLAYED_HEADER in Headers(raw=message.get("headers", [])):
                    await _give_back(scope)
                self._write(MutableHeaders(scope=message), standings)
            await send(message)

        await self._app(scope, receive, send_with_limits)

    def _write(self, headers: MutableHeaders, standings: Mapping[str, Standing]) -> None:
        if not standings:
            return
        headers["RateLimit-Policy"] = ", ".join(one.policy for one in standings.values())
        headers["RateLimit"] = ", ".join(one.left for one in standings.values())
        first = next(iter(standings.values()))
        headers["X-RateLimit-Limit"] = str(first.limit)
        headers["X-RateLimit-Remaining"] = str(max(0, first.remaining))
        headers["X-RateLimit-Reset"] = f"{self._clock.utc_now().timestamp() + (first.renews_s or 0):.2f}"


async def _give_back(scope: Scope) -> None:
    receipt = scope.get("state", {}).get("receipt")
    if isinstance(receipt, Receipt):
        await receipt.give_back()
