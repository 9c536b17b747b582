"""What the service holds, in BFL's words: tasks as ResultResponse. Reads rows; changes and decides nothing."""

from datetime import datetime
from typing import Any

from app.api.bfl.schemas.answers import ResultResponse, Status
from app.api.moderated import MODERATED, reasons_of
from app.api.viewpoint import Viewpoint
from app.core.events.progress_board import ProgressBoard
from app.core.spec import GenerationSpec
from app.core.states import GenerationState, task_state
from app.generations.delivery import result_path
from app.generations.repository import GenerationRow, TaskRead
from app.metering.pricing import credits_number

NOT_FOUND: Status = "Task not found"

_STATUS: dict[GenerationState, Status] = {
    GenerationState.QUEUED: "Pending",
    GenerationState.RUNNING: "Pending",
    GenerationState.READY: "Ready",
    GenerationState.ERROR: "Error",
    GenerationState.CANCELLED: "Error",
    GenerationState.REQUEST_MODERATED: "Request Moderated",
    GenerationState.CONTENT_MODERATED: "Content Moderated",
}


def result_response(found: TaskRead, progress: ProgressBoard, view: Viewpoint) -> ResultResponse:
    """A task as its owner sees it. BFL's tasks hold one image."""
    generation = found.generations[0]
    state = task_state([one.state for one in found.generations])
    is_active = _STATUS[state] == "Pending"
    return ResultResponse(
        id=found.task.id,
        status=_STATUS[state],
        result=_result(generation, view) if state is GenerationState.READY else None,
        progress=progress.fraction(generation.id) if state is GenerationState.RUNNING else None,
        details={"model": found.task.network, **_failure(generation, state)},
        cost=credits_number(found.task.cost_micro if is_active else _settled_micro(found)),
    )


def not_found(task_id: str) -> dict[str, Any]:
    """All keys of a ResultResponse, and the sentence that clients look for in errors."""
    body = ResultResponse(id=task_id, status=NOT_FOUND).model_dump()
    return body | {"message": "Task not found: unknown, expired, or not yours to see", "detail": NOT_FOUND}


def _settled_micro(found: TaskRead) -> int:
    """What the task cost in the end: only delivered images are charged."""
    return sum(one.price_micro for one in found.generations if one.state == GenerationState.READY)


def _result(generation: GenerationRow, view: Viewpoint) -> dict[str, Any]:
    spec = GenerationSpec.from_json(generation.spec)
    path = result_path(view.secrets, generation.id, generation.attempt, spec.output_format, view.now, view.url_ttl_s)
    return {
        "sample": view.public_url + path,
        "prompt": spec.prompt,
        "seed": generation.seed,
        **_times(generation.started_at, generation.finished_at),
    }


def _times(started_at: datetime | None, finished_at: datetime | None) -> dict[str, float]:
    """Clients take a missing time, but no null."""
    if started_at is None or finished_at is None:
        return {}
    start, end = started_at.timestamp(), finished_at.timestamp()
    return {"start_time": start, "end_time": end, "duration": max(0.0, end - start)}


def _failure(generation: GenerationRow, state: GenerationState) -> dict[str, Any]:
    if state in MODERATED:
        return {"Moderation Reasons": reasons_of(generation)}
    if state is GenerationState.CANCELLED:
        return {"code": "cancelled", "message": "the generation was cancelled; nothing was charged"}
    if state is GenerationState.ERROR:
        code, message = generation.error_code or "internal_error", generation.error_message or "the generation failed"
        return {"code": code, "message": message}
    return {}
