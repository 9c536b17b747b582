"""Tasks in Replicate's words. Reads rows; changes and decides nothing."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from app.api.moderated import MODERATED, moderated_text
from app.api.replicate.schemas import OWNER, Prediction, Status, Urls
from app.api.viewpoint import Viewpoint
from app.core.events.progress_board import ProgressBoard
from app.core.spec import GenerationSpec
from app.core.states import ACTIVE_STATES, GenerationState, task_state
from app.generations.delivery import result_path
from app.generations.repository import GenerationRow, TaskRead

PATH = "/v1/predictions"
BAR_CHARS = 10

_STATUS: dict[GenerationState, Status] = {
    GenerationState.QUEUED: "starting",
    GenerationState.RUNNING: "processing",
    GenerationState.READY: "succeeded",
    GenerationState.ERROR: "failed",
    GenerationState.REQUEST_MODERATED: "failed",
    GenerationState.CONTENT_MODERATED: "failed",
    GenerationState.CANCELLED: "canceled",
}


def prediction(found: TaskRead, progress: ProgressBoard, view: Viewpoint, *, waited: bool = False) -> Prediction:
    """A task as its owner sees it.

    Args:
        waited: the caller asked to wait. One that has not ended is "starting" then, whatever it does: Replicate's SDK takes
            "processing" for an end there, and polls on from "starting".
    """
    task, state = found.task, task_state([one.state for one in found.generations])
    address = f"{view.public_url}{PATH}/{task.id}"
    is_over = state not in ACTIVE_STATES
    return Prediction(
        id=task.id,
        model=f"{OWNER}/{task.model}",
        version=task.model,
        status=_STATUS[GenerationState.QUEUED if waited and not is_over else state],
        input=task.request,
        output=_output(found.generations, view) if state is GenerationState.READY else None,
        logs=_logs(found.generations, progress),
        error=_error(found.generations, state),
        metrics=_metrics(found) if is_over else {},
        created_at=_moment(task.created_at),
        started_at=_optional_moment(_first(one.started_at for one in found.generations)),
        completed_at=_optional_moment(_last(found.generations)) if is_over else None,
        urls=Urls(get=address, cancel=f"{address}/cancel"),
    )


def _output(generations: Sequence[GenerationRow], view: Viewpoint) -> list[str]:
    """Addresses of the pictures that were made."""
    return [_url(one, view) for one in generations if one.state == GenerationState.READY]


def _url(one: GenerationRow, view: Viewpoint) -> str:
    extension = GenerationSpec.from_json(one.spec).output_format
    return view.public_url + result_path(view.secrets, one.id, one.attempt, extension, view.now, view.url_ttl_s)


def _logs(generations: Sequence[GenerationRow], progress: ProgressBoard) -> str:
    """One line of tqdm's an image that is drawn: what the SDK reads its progress from."""
    heard = (progress.latest(one.id) for one in generations if one.state == GenerationState.RUNNING)
    return "\n".join(_bar(one.step, one.num_steps) for one in heard if one is not None)


def _bar(step: int, num_steps: int) -> str:
    fraction = min(max(step / num_steps, 0.0), 1.0)
    done = int(fraction * BAR_CHARS)
    return f"{round(100 * fraction):3d}%|{'█' * done}{' ' * (BAR_CHARS - done)}| {step}/{num_steps}"


def _error(generations: Sequence[GenerationRow], state: GenerationState) -> str | None:
    if state in MODERATED:
        return f"moderated: {moderated_text(generations)}"
    if state is not GenerationState.ERROR:
        return None
    failed = next(one for one in generations if one.state == GenerationState.ERROR)
    return f"{failed.error_code or 'internal_error'}: {failed.error_message or 'the generation failed'}"


def _metrics(found: TaskRead) -> dict[str, float]:
    """Seconds of drawing, and from the request to the end."""
    drawn = [
        (one.finished_at - one.started_at).total_seconds()
        for one in found.generations
        if one.started_at is not None and one.finished_at is not None
    ]
    end = _last(found.generations)
    total = {} if end is None else {"total_time": max(0.0, (end - found.task.created_at).total_seconds())}
    return {"predict_time": max(0.0, sum(drawn)), **total} if drawn else total


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    return min((one for one in moments if one is not None), default=None)


def _last(generations: Sequence[GenerationRow]) -> datetime | None:
    return max((one.finished_at for one in generations if one.finished_at is not None), default=None)


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _optional_moment(moment: datetime | None) -> str | None:
    return None if moment is None else _moment(moment)
