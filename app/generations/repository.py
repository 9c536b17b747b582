"""Queries on tasks, generations and what workers have registered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.engine import Database
from app.core.db.prepared import Prepared
from app.core.db.tables.account import Account
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.db.tables.worker import Registration, Worker
from app.core.states import GenerationState

_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(slots=True)
class TaskRow:
    """What answers tell of a task: these columns of its row."""

    id: str
    account_id: str
    model: str
    network: str
    dialect: str
    created_at: datetime
    expires_at: datetime
    cost_micro: int
    request: dict[str, Any]


@dataclass(slots=True)
class GenerationRow:
    """What answers tell of a generation: these columns of its row."""

    id: str
    index: int
    state: str
    spec: str
    seed: int
    width: int
    height: int
    attempt: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    price_micro: int
    price_inputs: dict[str, Any]
    object_key: str | None
    error_code: str | None
    error_message: str | None


TASK_COLUMNS = tuple(getattr(Task, one.name).expression for one in fields(TaskRow))
GENERATION_COLUMNS = tuple(getattr(Generation, one.name).expression for one in fields(GenerationRow))
_NUM_OF_TASK = len(TASK_COLUMNS)


@dataclass(frozen=True, slots=True)
class TaskRead:
    """A task and its generations, by index."""

    task: TaskRow
    generations: tuple[GenerationRow, ...]


async def find_task(session: AsyncSession, task_id: str, now: datetime) -> TaskRead | None:
    """The task, unless it is unknown or has expired."""
    if _TASK_ID.fullmatch(task_id) is None:
        return None  # and PostgreSQL is spared characters that it refuses
    return _unexpired((await (await session.connection()).execute(_TASK.statement, {"task": task_id})).all(), now)


async def look_up_task(database: Database, task_id: str, now: datetime) -> TaskRead | None:
    """`find_task` for who asks nothing else: one trip to the database."""
    if _TASK_ID.fullmatch(task_id) is None:
        return None
    return _unexpired(await database.ask(_TASK, {"task": task_id}), now)


_TASK = Prepared(
    select(*TASK_COLUMNS, *GENERATION_COLUMNS)
    .join(Generation, Generation.task_id == Task.id)
    .where(Task.id == bindparam("task"))
    .order_by(Generation.index)
)
"""Made once. One statement: it sees the task and all of its generations at one moment, in a transaction or without."""


def _unexpired(rows: Sequence[Sequence[Any]], now: datetime) -> TaskRead | None:
    if not rows:
        return None
    task = TaskRow(*rows[0][:_NUM_OF_TASK])
    if task.expires_at <= now:
        return None
    return TaskRead(task, tuple(GenerationRow(*row[_NUM_OF_TASK:]) for row in rows))


def pool_of(connection: Connection, networks: Sequence[str]) -> str | None:
    """The pool that runs all of these networks, the one seen last when there are several; None when none has registered them."""
    first, *others = networks
    has_others = (Registration.pool.in_(_pools_with(network)) for network in others)
    found = select(Registration.pool).where(Registration.network == first, *has_others)
    return connection.scalar(found.order_by(Registration.last_seen_at.desc()).limit(1))


def _pools_with(network: str) -> Select[str]:
    return select(Registration.pool).where(Registration.network == network)


async def pools_left_waiting(session: AsyncSession, since: datetime) -> list[str]:
    """Pools in which a generation has been queued since then or longer."""
    waiting = select(Generation.pool).where(Generation.state == GenerationState.QUEUED, Generation.queued_at <= since)
    return list((await session.scalars(waiting.distinct())).all())


async def pools(session: AsyncSession) -> list[str]:
    """Every pool that has registered a network."""
    return list((await session.scalars(select(Registration.pool).distinct())).all())


async def networks(session: AsyncSession) -> frozenset[str]:
    """Every network that some pool has registered."""
    return frozenset((await session.scalars(select(Registration.network).distinct())).all())


async def available_micro(session: AsyncSession, account_id: str) -> int:
    """What the account may still spend."""
    available = await session.scalar(select(Account.posted_micro - Account.held_micro).where(Account.id == account_id))
    return available or 0


async def is_any_worker_ready(session: AsyncSession, since: datetime) -> bool:
    """Whether a worker that was alive after `since` has loaded its networks."""
    ready = select(Worker.id).where(Worker.ready_at.is_not(None), Worker.last_seen_at >= since)
    return await session.scalar(ready.limit(1)) is not None
