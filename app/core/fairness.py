"""Whose turn it is: start-time fair queueing between the flows of a class (Goyal, Vin and Cheng 1996), and ageing between classes.

Every queued row carries two tags in virtual time (seconds of work divided by weight). Its start tag is the virtual time at
submit or, when that is later, the finish tag of its flow's row before it; claims take the lowest start tag. So a flow that
queues much moves its own rows back and nobody else's. A flow is an account. Virtual time is derived from rows, never stored:
it is the highest start tag that was ever claimed, and no later than the first row that waits for the same network, because
workers that cannot run that network may be far ahead.

A row that waits in a lower class for `ageing_s` moves up one. All rows that moved up into a class are one flow there, of weight
1, and one of them waits at a time; one that waits another `ageing_s` in the top class goes next. So no class starves, and a flood
of the lower class gains no more than one account's share.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.generation import IS_QUEUED, Generation

TOP_CLASS: Final = 0
AGED_FLOW: Final = "aged"
AGED_WEIGHT: Final = 1.0


@dataclass(frozen=True)
class Lane:
    """Where rows compete: those of one pool and class. A network tells which workers can run a row."""

    pool: str
    priority: int
    network: str


@dataclass(frozen=True)
class Tags:
    """Virtual time at which a row's turn begins, and at which its flow has had its share."""

    start: float
    finish: float

    def following(self, expected_s: float, weight: float) -> "Tags":
        """Of the flow's next row, which no other of the flow comes between."""
        return Tags(self.finish, self.finish + expected_s / weight)


@dataclass(frozen=True)
class Before:
    """What the next row of a flow comes after, as `BEFORE` reads it: None where there is no such row."""

    served: float | None
    head: float | None
    last_finish: float | None

    def tags(self, expected_s: float, weight: float) -> Tags:
        """Of that row. Two of one flow must not ask at once: the submit holds its account's row."""
        now = (self.served or 0.0) if self.head is None else min(self.served or 0.0, self.head)
        start = max(now, self.last_finish or 0.0)
        return Tags(start, start + expected_s / weight)


async def tags(session: AsyncSession, lane: Lane, flow: str, expected_s: float, weight: float) -> Tags:
    """Tags of the next row of a flow."""
    of = {"pool": lane.pool, "priority": lane.priority, "network": lane.network, "flow": flow}
    return Before(*(await session.execute(select(*BEFORE), of)).one()).tags(expected_s, weight)


async def virtual_time(session: AsyncSession, pool: str, priority: int) -> float:
    """The highest start tag of all rows of the class that were ever claimed."""
    return await session.scalar(_SERVED, {"pool": pool, "priority": priority}) or 0.0


async def promote_aged(
    session: AsyncSession, runnable: Collection[ColumnElement[bool]], now: datetime, ageing_s: float
) -> None:
    """Move the row that has waited too long up, in each class at most one. `runnable` says which rows the claimer can run.

    A claim that finds none has read one entry of an index.
    """
    due = (
        select(Generation.id, Generation.priority, Generation.pool, Generation.network, Generation.expected_s)
        .where(*runnable, Generation.ages_at <= now)
        .order_by(Generation.priority, Generation.virtual_start, Generation.queued_at, Generation.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    for priority in await _classes_with_aged(session, runnable, now):
        found = (await session.execute(due.where(Generation.priority == priority))).first()
        if found is not None:
            await _move_up(session, runnable, found, now + timedelta(seconds=ageing_s))


async def _classes_with_aged(
    session: AsyncSession, runnable: Collection[ColumnElement[bool]], now: datetime
) -> list[int]:
    """Lowest number first, so that a row moves one class in a claim."""
    query = select(Generation.priority).where(*runnable, Generation.ages_at <= now).distinct()
    return sorted((await session.scalars(query)).all())


async def _move_up(
    session: AsyncSession,
    runnable: Collection[ColumnElement[bool]],
    row: Row[str, int, str, str, float],
    ages_at: datetime,
) -> None:
    generation_id, priority, pool, network, expected_s = row
    moving = (
        update(Generation).where(Generation.id == generation_id, IS_QUEUED).execution_options(synchronize_session=False)
    )
    if priority == TOP_CLASS:
        next_up = await virtual_time(session, pool, TOP_CLASS)
        await session.execute(moving.values(virtual_start=earlier_of(Generation.virtual_start, next_up), ages_at=None))
        return
    target = priority - 1
    waiting = select(Generation.id).where(*runnable, Generation.priority == target, Generation.flow == AGED_FLOW)
    if (await session.scalars(waiting.limit(1))).first() is not None:
        return
    new = await tags(session, Lane(pool, target, network), AGED_FLOW, expected_s, AGED_WEIGHT)
    await session.execute(
        moving.values(
            priority=target, flow=AGED_FLOW, virtual_start=new.start, virtual_finish=new.finish, ages_at=ages_at
        )
    )


def earlier_of(tag: ColumnElement[float] | Any, other: ColumnElement[float] | float) -> ColumnElement[float]:
    """The lesser of two tags, in words that both databases have."""
    return case((tag <= other, tag), else_=other)


_IN_LANE = and_(Generation.pool == bindparam("pool"), Generation.priority == bindparam("priority"))
_SERVED = select(func.max(Generation.virtual_start)).where(_IN_LANE, Generation.attempt > 0)
_HEAD = (
    select(Generation.virtual_start)
    .where(_IN_LANE, IS_QUEUED, Generation.network == bindparam("network"))
    .order_by(Generation.virtual_start)
    .limit(1)
)
"""A newcomer's time is no later than that of the first row that waits for the same network."""
_LAST_FINISH = select(func.max(Generation.virtual_finish)).where(
    _IN_LANE, Generation.flow == bindparam("flow"), or_(IS_QUEUED, Generation.attempt > 0)
)
"""Rows that ended before anybody claimed them took no share."""
BEFORE = (_SERVED.scalar_subquery(), _HEAD.scalar_subquery(), _LAST_FINISH.scalar_subquery())
"""The columns of `Before`, for a statement that asks more at once. They take `pool`, `priority`, `network` and `flow`."""
