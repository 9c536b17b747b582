"""What a receiver is told: the task as the dialect shows it in which it was asked for. Links last as long as the picture."""

import json
from collections.abc import Callable
from typing import Any, Final

from app.api.bfl.answers import result_response
from app.api.replicate.answers import prediction
from app.api.replicate.routes import DIALECT as REPLICATE
from app.api.viewpoint import Viewpoint
from app.core.events.progress_board import ProgressBoard
from app.dependencies import Gateway
from app.generations.repository import TaskRead, look_up_task


def _polled(found: TaskRead, view: Viewpoint) -> dict[str, Any]:
    """The poll's answer, and the same id and time under the names that BFL's receivers read."""
    told = result_response(found, ProgressBoard(), view).model_dump()
    return {**told, "task_id": found.task.id, "timestamp": view.now.isoformat()}


def _prediction(found: TaskRead, view: Viewpoint) -> dict[str, Any]:
    return prediction(found, ProgressBoard(), view).model_dump(mode="json")


_BODIES: Final[dict[str, Callable[[TaskRead, Viewpoint], dict[str, Any]]]] = {REPLICATE: _prediction}


async def webhook_body(parts: Gateway, task_id: str, public_url: str) -> bytes | None:
    """What every attempt sends; None where the task is gone."""
    now = parts.clock.utc_now()
    found = await look_up_task(parts.database, task_id, now)
    if found is None:
        return None
    view = Viewpoint(public_url, parts.secrets, (found.task.expires_at - now).total_seconds(), now)
    return json.dumps(_BODIES.get(found.task.dialect, _polled)(found, view)).encode()
