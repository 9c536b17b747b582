"""An account's own tasks: found by id, listed newest first, cancelled, deleted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.errors import Conflict, InvalidRequest, NotFound
from app.core.states import ACTIVE_STATES
from app.dependencies import Gateway
from app.generations import repository
from app.generations.repository import GENERATION_COLUMNS, TASK_COLUMNS, GenerationRow, TaskRead, TaskRow

_CURSOR = re.compile(r"(\d{1,17})~([0-9a-f-]{36})")
_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True)
class TaskCursor:
    """Where a page ends: its last task."""

    created_at: datetime
    task_id: str

    def __str__(self) -> str:
        return f"{round(self.created_at.timestamp() * _MICROSECONDS)}~{self.task_id}"

    @classmethod
    def parse(cls, text: str) -> "TaskCursor":
        """Raises InvalidRequest for one that no page ends with."""
        found = _CURSOR.fullmatch(text)
        try:
            if found is not None:
                return cls(datetime.fromtimestamp(int(found[1]) / _MICROSECONDS, UTC), found[2])
        except (OverflowError, ValueError, OSError):
            pass
        raise InvalidRequest("no page ends with this cursor", field="cursor", value=text, limit="a `next` of before")


async def own_task(session: AsyncSession, account_id: str, task_id: str, now: datetime) -> TaskRead:
    """The task. Raises NotFound when it is unknown, has expired, or is another account's."""
    return _owned(await repository.find_task(session, task_id, now), account_id, task_id)


async def look_up_own(parts: Gateway, account_id: str, task_id: str) -> TaskRead:
    """`own_task` for who asks nothing else: one trip to the database."""
    found = await repository.look_up_task(parts.database, task_id, parts.clock.utc_now())
    return _owned(found, account_id, task_id)


def _owned(found: TaskRead | None, account_id: str, task_id: str) -> TaskRead:
    if found is None or found.task.account_id != account_id:
        raise NotFound("there is no such task: unknown, expired, or not yours", field="task_id", value=task_id)
    return found


async def list_tasks(
    session: AsyncSession,
    account_id: str,
    now: datetime,
    *,
    limit: int,
    after: TaskCursor | None = None,
    model: str | None = None,
) -> Sequence[TaskRead]:
    """The account's tasks that have not expired, newest first: at most `limit`, those after the cursor, of one public name."""
    query = select(*TASK_COLUMNS).where(Task.account_id == account_id, Task.expires_at > now)
    if model is not None:
        query = query.where(Task.model == model)
    if after is not None:
        query = query.where(tuple_(Task.created_at, Task.id) < tuple_(after.created_at, after.task_id))
    newest = query.order_by(Task.created_at.desc(), Task.id.desc()).limit(limit)
    tasks = [TaskRow(*row) for row in await session.execute(newest)]
    generations: dict[str, list[GenerationRow]] = {task.id: [] for task in tasks}
    of_tasks = select(Generation.task_id, *GENERATION_COLUMNS).where(Generation.task_id.in_(list(generations)))
    for task_id, *values in await session.execute(of_tasks.order_by(Generation.index)):
        generations[task_id].append(GenerationRow(*values))
    return [TaskRead(task, tuple(generations[task.id])) for task in tasks]


async def delete_task(parts: Gateway, account_id: str, task_id: str) -> None:
    """End the task's time now: nobody finds it any more, and the next sweep deletes what was sent and made.

    Raises:
        NotFound: as for `own_task`.
        Conflict: some of it is unfinished.
    """
    now = parts.clock.utc_now()
    async with parts.database.write() as session:
        found = await own_task(session, account_id, task_id, now)
        if any(one.state in ACTIVE_STATES for one in found.generations):
            raise Conflict("the task is not finished; cancel it first", field="task_id", value=task_id)
        await session.execute(update(Task).where(Task.id == task_id).values(expires_at=now))
