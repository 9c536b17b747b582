"""Tasks whose time is over: their pictures, sent and made, are deleted and their rows emptied; the ledger keeps its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.db.tables.webhook import Webhook
from app.core.ids import result_key
from app.core.inputs.kept import input_keys
from app.core.spec import OUTPUT_FORMATS
from app.core.states import ACTIVE_STATES

EMPTY_SPEC = "{}"


@dataclass(frozen=True)
class ExpiredTask:
    """A task to forget, and every object that any attempt of it may have left, or that its caller sent."""

    task_id: str
    object_keys: tuple[str, ...]


async def expired_tasks(session: AsyncSession, now: datetime, limit: int = 100) -> list[ExpiredTask]:
    """Tasks past their retention with nothing under way. Delete their objects, then `forget` them."""
    active = exists().where(Generation.task_id == Task.id, Generation.state.in_(sorted(ACTIVE_STATES)))
    due = (
        select(Task.id)
        .where(Task.expired_at.is_(None), Task.expires_at <= now, ~active)
        .order_by(Task.expires_at)
        .limit(limit)
    )
    task_ids = (await session.scalars(due)).all()
    query = select(Generation.task_id, Generation.id, Generation.attempt, Generation.spec).where(
        Generation.task_id.in_(task_ids)
    )
    keys: dict[str, list[str]] = {task_id: [] for task_id in task_ids}
    for task_id, generation_id, num_attempts, spec in (await session.execute(query)).all():
        keys[task_id] += [*_possible_keys(generation_id, num_attempts), *input_keys(spec)]
    return [ExpiredTask(task_id, tuple(found)) for task_id, found in keys.items()]


async def forget(session: AsyncSession, task_ids: Sequence[str], now: datetime) -> None:
    """Empty the rows of what a customer sent and got. States, prices and the ledger stay, so that it still balances."""
    if not task_ids:
        return
    await session.execute(update(Task).where(Task.id.in_(task_ids)).values(expired_at=now, request={}))
    await session.execute(
        update(Generation)
        .where(Generation.task_id.in_(task_ids))
        .values(spec=EMPTY_SPEC, object_key=None, error_message=None)
    )
    gone = Webhook.task_id.in_(task_ids)
    await session.execute(update(Webhook).where(gone, Webhook.state == "waiting").values(state="ended", next_at=None))
    await session.execute(update(Webhook).where(gone).values(url="", body=None, secret=None))


def _possible_keys(generation_id: str, num_attempts: int) -> list[str]:
    attempts = range(1, num_attempts + 1)
    return [
        result_key(generation_id, attempt, output_format) for attempt in attempts for output_format in OUTPUT_FORMATS
    ]
