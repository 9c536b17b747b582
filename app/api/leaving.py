"""Answers that somebody waits for: when nobody does any more, the work stops and costs nothing."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.dependencies import Gateway
from app.generations.cancelling import cancel
from app.generations.repository import TaskRead
from app.generations.waiting import Waiters, until_ended

EVENTS_TYPE = "text/event-stream"
_UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """Server-sent events, whose source sees for itself when the client has hung up: it may have more to do then than to stop."""

    def __init__(self, events: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(events, headers={**_UNBUFFERED, **(headers or {})}, media_type=EVENTS_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(send)


async def until_ended_or_left(
    request: Request, parts: Gateway, waiters: Waiters, task_id: str, *, may_come_back: bool
) -> TaskRead | None:
    """The task once it has ended; None when the client hung up first. Then it is cancelled, unless the client may come back for it."""
    ended = asyncio.create_task(until_ended(parts, waiters, task_id))
    left = asyncio.create_task(until_left(request))
    try:
        await asyncio.wait({ended, left}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ended.result()
        if not may_come_back:
            await cancel(parts, task_id)
        return None
    finally:
        ended.cancel()
        left.cancel()
        await asyncio.gather(ended, left, return_exceptions=True)


async def until_left(request: Request) -> None:
    """Return when the client has hung up; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
