"""Bodies of `/v1/tasks`. Amounts are in credits, moments in UTC."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from app.api.moderated import MODERATED, moderated_text
from app.api.viewpoint import Viewpoint
from app.core.events.progress_board import ProgressBoard
from app.core.spec import GenerationSpec
from app.core.states import GenerationState, task_state
from app.generations.delivery import polling_path, result_path
from app.generations.estimates import QueuePlace
from app.generations.repository import GenerationRow, TaskRead
from app.metering.pricing import credits_number

State = GenerationState


class ImageError(BaseModel, defer_build=True):
    """A code of docs/errors.md and a sentence."""

    code: str
    message: str


class TaskImage(BaseModel, defer_build=True):
    """One image. `url` is there once it is ready and works for a while; `progress` is 0 to 1 while it is drawn."""

    id: str
    index: int
    state: State
    seed: int
    width: int
    height: int
    progress: float | None
    url: str | None
    error: ImageError | None
    attempts: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    price: float
    breakdown: list[dict[str, Any]]


class QueueRead(BaseModel, defer_build=True):
    """Where a queued image stands: how many go first, and about how many seconds that takes, where that is known."""

    position: int
    wait_s: float | None


class TaskAnswer(BaseModel, defer_build=True):
    """A task. `cost` is what is held for it or, once it has ended, what was charged: only delivered images are.

    `queue` is its first queued image's, where one task is looked at; null in lists, and when none is queued.
    """

    id: str
    state: State
    model: str
    dialect: str
    created_at: datetime
    expires_at: datetime
    cost: float
    polling_url: str
    queue: QueueRead | None
    request: dict[str, Any]
    images: list[TaskImage]


class TaskPage(BaseModel, defer_build=True):
    """Newest first. `next` is the `cursor` of the page after this one; null at the end."""

    tasks: list[TaskAnswer]
    next: str | None


def task_answer(
    found: TaskRead, progress: ProgressBoard, view: Viewpoint, place: QueuePlace | None = None
) -> TaskAnswer:
    """A task as its owner sees it."""
    task, unpaid = found.task, {State.ERROR, State.CANCELLED, State.REQUEST_MODERATED, State.CONTENT_MODERATED}
    return TaskAnswer(
        id=task.id,
        state=task_state([one.state for one in found.generations]),
        model=task.model,
        dialect=task.dialect,
        created_at=task.created_at,
        expires_at=task.expires_at,
        cost=credits_number(sum(one.price_micro for one in found.generations if one.state not in unpaid)),
        polling_url=view.public_url + polling_path(view.secrets, task.id, task.expires_at),
        queue=None if place is None else QueueRead(position=place.position, wait_s=place.wait_s),
        request=task.request,
        images=[image_answer(one, progress, view) for one in found.generations],
    )


def image_answer(one: GenerationRow, progress: ProgressBoard, view: Viewpoint) -> TaskImage:
    """One image as its owner sees it."""
    state = State(one.state)
    return TaskImage(
        id=one.id,
        index=one.index,
        state=state,
        seed=one.seed,
        width=one.width,
        height=one.height,
        progress=progress.fraction(one.id) if state is State.RUNNING else None,
        url=_url(one, view) if state is State.READY else None,
        error=_error(one, state),
        attempts=one.attempt,
        queued_at=one.queued_at,
        started_at=one.started_at,
        finished_at=one.finished_at,
        price=credits_number(one.price_micro),
        breakdown=one.price_inputs.get("lines", []),
    )


def _url(one: GenerationRow, view: Viewpoint) -> str:
    extension = GenerationSpec.from_json(one.spec).output_format
    path = result_path(view.secrets, one.id, one.attempt, extension, view.now, view.url_ttl_s)
    return view.public_url + path


def _error(one: GenerationRow, state: State) -> ImageError | None:
    if state in MODERATED:
        return ImageError(code="moderated", message=moderated_text([one]))
    if state is not State.ERROR:
        return None
    return ImageError(code=one.error_code or "internal_error", message=one.error_message or "the generation failed")
