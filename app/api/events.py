"""The events of a task as server-sent events, from wherever the client was: rows decide, what workers tell is shown on the way."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Annotated, Any, cast

from fastapi import Header, Request
from fastapi.responses import Response

from app.api.event_marks import Heard, Mark, News, has_ended, id_of, marks_of, news
from app.api.leaving import EventStream, until_left
from app.api.task_schemas import image_answer
from app.api.viewpoint import viewpoint_of
from app.auth.dependencies import CanReadJobs
from app.core.errors import NotFound
from app.core.events.progress_board import ProgressBoard
from app.core.states import FINAL_STATES
from app.dependencies import Gateway, Parts
from app.generations.repository import GenerationRow
from app.generations.tasks import look_up_own
from app.generations.watching import Watch, Watchers

HEARTBEAT_S = 15.0
"""Proxies close what is silent for a minute; a comment is no event."""
RETRY = b"retry: 1000\n\n"
"""Milliseconds after which a client comes back whose stream has broken."""
HEARTBEAT = b":\n\n"

LastEventId = Annotated[
    str | None, Header(description="The id of the last event that was received: what came after it is told.")
]


async def get_events(
    request: Request, parts: Parts, caller: CanReadJobs, task_id: str, last_event_id: LastEventId = None
) -> Response:
    """What happens to the task until all of its images have ended: queued, running, step, preview, done, failed, cancelled.

    A client that has been told the end gets 204, which tells an EventSource to stay away.
    """
    found = await look_up_own(parts, caller.account_id, task_id)
    marks = marks_of(last_event_id, len(found.generations))
    if has_ended(marks):
        return Response(status_code=204)
    return EventStream(_stream(request, parts, task_id, marks))


async def _stream(request: Request, parts: Gateway, task_id: str, marks: list[Mark]) -> AsyncGenerator[bytes]:
    watchers = cast("Watchers", request.app.state.watchers)
    left = asyncio.create_task(until_left(request))
    try:
        yield RETRY
        with watchers.watch(task_id) as watch, suppress(NotFound):  # it may expire
            left.add_done_callback(lambda _: watch.wake())
            while not left.done():
                for frame in await _told(request, parts, watch, marks):
                    yield frame
                if has_ended(marks):
                    return
                if not await _something_happens(watch):
                    yield HEARTBEAT
    finally:
        left.cancel()


async def _something_happens(watch: Watch) -> bool:
    """Wait for news; False when there was none for a while."""
    try:
        async with asyncio.timeout(HEARTBEAT_S):
            await watch.news()
    except TimeoutError:
        return False
    return True


async def _told(request: Request, parts: Gateway, watch: Watch, marks: list[Mark]) -> list[bytes]:
    """The frames of all that is news, each noted in the marks. Nothing of the rows is kept: most who watch are idle."""
    rows: Sequence[GenerationRow] = (await watch.read(parts)).generations if watch.is_stale else ()
    by_id = {one.id: one for one in rows}
    progress = cast("ProgressBoard", request.app.state.progress)
    frames: list[bytes] = []
    for index, (one, standing) in enumerate(watch.standings.items()):
        for event in news(marks[index], Heard(standing, progress.latest(one), watch.preview(one))):
            marks[index] = event.mark
            fields = event.fields
            if standing.state in FINAL_STATES:
                fields = image_answer(by_id[one], progress, viewpoint_of(request, parts)).model_dump(mode="json")
            frames.append(_frame(event, {"index": index, **_plain(fields)}, marks))
    return frames


def _frame(event: News, data: dict[str, Any], marks: Sequence[Mark]) -> bytes:
    text = json.dumps(data, separators=(",", ":"))
    return f"id: {id_of(marks)}\nevent: {event.name}\ndata: {text}\n\n".encode()


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """A preview's picture as JSON has it."""
    if "jpeg" not in fields:
        return fields
    rest = {name: value for name, value in fields.items() if name != "jpeg"}
    return {**rest, "content_type": "image/jpeg", "b64_json": b64encode(fields["jpeg"]).decode()}
