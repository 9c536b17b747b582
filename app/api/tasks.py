"""Darkroom's own view of tasks, whichever dialect they came in: list, look, wait, cancel, delete."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.api.events import get_events
from app.api.leaving import EVENTS_TYPE
from app.api.prefer import WaitSeconds, applied, wait_for_end
from app.api.task_schemas import TaskAnswer, TaskPage, task_answer
from app.api.viewpoint import viewpoint_of
from app.auth.dependencies import CanReadJobs, CanWriteJobs
from app.core.events.progress_board import ProgressBoard
from app.core.states import GenerationState
from app.dependencies import Gateway, Parts
from app.generations.cancelling import cancel
from app.generations.estimates import QueuePlace, place_of
from app.generations.repository import TaskRead
from app.generations.tasks import TaskCursor, delete_task, list_tasks, look_up_own

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENTS_TYPE: {}}, "description": "Events, until the task has ended."},
    204: {"description": "The end has been told already."},
}


def router() -> APIRouter:
    """Every route shows its caller's own tasks; others' are not there."""
    routes = APIRouter(prefix="/v1/tasks", tags=["Tasks"])
    routes.add_api_route("", get_tasks, methods=["GET"], response_model=TaskPage)
    routes.add_api_route("/{task_id}", get_task, methods=["GET"], response_model=TaskAnswer)
    routes.add_api_route("/{task_id}/events", get_events, methods=["GET"], response_class=Response, responses=_EVENTS)
    routes.add_api_route("/{task_id}", remove_task, methods=["DELETE"], status_code=204, response_class=Response)
    routes.add_api_route("/{task_id}/cancel", cancel_task, methods=["POST"], response_model=TaskAnswer)
    return routes


async def get_tasks(
    request: Request,
    parts: Parts,
    caller: CanReadJobs,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: str | None = None,
    model: Annotated[str | None, Query(description="Only this public name.")] = None,
) -> TaskPage:
    """Tasks that have not expired, newest first."""
    after = TaskCursor.parse(cursor) if cursor else None
    async with parts.database.read() as session:
        found = await list_tasks(
            session, caller.account_id, parts.clock.utc_now(), limit=limit + 1, after=after, model=model
        )
    shown, last = found[:limit], found[limit - 1].task if len(found) > limit else None
    following = None if last is None else str(TaskCursor(last.created_at, last.id))
    return TaskPage(tasks=[_answer(request, parts, one) for one in shown], next=following)


async def get_task(
    request: Request, response: Response, parts: Parts, caller: CanReadJobs, task_id: str, seconds: WaitSeconds
) -> TaskAnswer:
    """One of them, at once or when it has ended."""
    ended = None
    if seconds:
        await look_up_own(parts, caller.account_id, task_id)  # and nothing of it is kept: thousands may wait here
        ended = await wait_for_end(request, parts, task_id, seconds)
        response.headers.update(applied(seconds))
    found = ended or await look_up_own(parts, caller.account_id, task_id)
    return _answer(request, parts, found, await _place(request, parts, found))


async def cancel_task(request: Request, parts: Parts, caller: CanWriteJobs, task_id: str) -> TaskAnswer:
    """What waits ends at once, what is drawn at its next step; neither costs anything. What has ended stays as it is."""
    await look_up_own(parts, caller.account_id, task_id)
    await cancel(parts, task_id)
    return _answer(request, parts, await look_up_own(parts, caller.account_id, task_id))


async def remove_task(parts: Parts, caller: CanWriteJobs, task_id: str) -> Response:
    """Forget an ended task: it is not found from now on, and its pictures, sent and made, are deleted. Prices stay."""
    await delete_task(parts, caller.account_id, task_id)
    return Response(status_code=204)


async def _place(request: Request, parts: Gateway, found: TaskRead) -> QueuePlace | None:
    """Of the task's first queued image."""
    queued = next((one.id for one in found.generations if one.state == GenerationState.QUEUED), None)
    if queued is None:
        return None
    async with parts.database.read() as session:
        return await place_of(session, queued, _progress(request).fraction)


def _answer(request: Request, parts: Gateway, found: TaskRead, place: QueuePlace | None = None) -> TaskAnswer:
    return task_answer(found, _progress(request), viewpoint_of(request, parts), place)


def _progress(request: Request) -> ProgressBoard:
    return cast("ProgressBoard", request.app.state.progress)
