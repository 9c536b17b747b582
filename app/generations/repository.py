"""Queries on tasks, generations and what workers have registered."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.account import Account
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.db.tables.worker import Registration, Worker
from app.core.states import GenerationState

_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class TaskRead:
    """A task and its generations, by index."""

    task: Task
    generations: tuple[Generation, ...]


async def find_task(session: AsyncSession, task_id: str, now: datetime) -> TaskRead | None:
    """The task, unless it is unknown or has expired."""
    if _TASK_ID.fullmatch(task_id) is None:
        return None  # and PostgreSQL is spared characters that it refuses
    task = await session.get(Task, task_id)
    if task is None or task.expires_at <= now:
        return None
    rows = await session.scalars(select(Generation).where(Generation.task_id == task_id).order_by(Generation.index))
    return TaskRead(task, tuple(rows))


async def pool_of(session: AsyncSession, networks: Sequence[str]) -> str | None:
    """The pool that runs all of these networks, the one seen last when there are several; None when none has registered them."""
    first, *others = networks
    has_others = (Registration.pool.in_(_pools_with(network)) for network in others)
    found = select(Registration.pool).where(Registration.network == first, *has_others)
    return await session.scalar(found.order_by(Registration.last_seen_at.desc()).limit(1))


def _pools_with(network: str) -> Select[str]:
    return select(Registration.pool).where(Registration.network == network)


async def num_queued(session: AsyncSession, pool: str, priority: int, at_most: int) -> int:
    """How many generations of this class wait; counting stops at `at_most`."""
    queued = select(Generation.id).where(
        Generation.state == GenerationState.QUEUED, Generation.pool == pool, Generation.priority == priority
    )
    return await session.scalar(select(func.count()).select_from(queued.limit(at_most).subquery())) or 0


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
