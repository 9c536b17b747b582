"""How long a queued generation is likely to wait: what goes before it, by how fast its pool has served of late.

Expected seconds only rank rows (app.generations.expected). What they are worth is measured: those of the latest pictures, against
the time in which the pool was busy with them. A guess: shorter rows may still pass, and workers come and go.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.generation import Generation
from app.core.states import GenerationState

NUM_SERVED: Final = 50
"""Latest pictures of a class that tell how fast its pool is."""


@dataclass(frozen=True)
class Served:
    """A picture that was made."""

    expected_s: float
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True)
class QueuePlace:
    """Where a queued generation stands."""

    position: int
    """Generations that go first as things stand; 0 for the next."""
    wait_s: float | None
    """Seconds until its turn, about; None until its pool has made a picture of its class."""


Fraction = Callable[[str], float | None]
"""Progress of a running generation, 0 to 1; None where nothing was heard."""


def rate(pictures: Iterable[Served]) -> float | None:
    """Expected seconds that a pool serves in a second in which it is busy; None if it has served nothing yet."""
    spans = sorted((one.started_at, one.finished_at, one.expected_s) for one in pictures)
    busy_s, until = 0.0, datetime.min
    for started_at, finished_at, _ in spans:
        begin = started_at if until == datetime.min else max(started_at, until)
        busy_s += max(0.0, (finished_at - begin).total_seconds())
        until = finished_at if until == datetime.min else max(until, finished_at)
    return sum(expected_s for *_, expected_s in spans) / busy_s if busy_s > 0 else None


def left_s(under_way: Iterable[tuple[float, float | None]]) -> float:
    """Expected seconds that are left of running rows, of each its expected seconds and its progress."""
    return sum(expected_s * (1.0 - (fraction or 0.0)) for expected_s, fraction in under_way)


async def place_of(session: AsyncSession, generation_id: str, fraction: Fraction) -> QueuePlace | None:
    """Where a generation stands in its queue; None when it is not queued."""
    row = await session.get(Generation, generation_id)
    if row is None or row.state != GenerationState.QUEUED:
        return None
    position, ahead_s = await ahead(session, row)
    speed = rate(await served(session, row.pool, row.priority))
    under_way_s = left_s([(expected_s, fraction(one)) for one, expected_s in await running(session, row.pool)])
    return QueuePlace(position, None if speed is None else (ahead_s + under_way_s) / speed)


async def ahead(session: AsyncSession, row: Generation) -> tuple[int, float]:
    """How many queued rows go first, and their expected seconds together."""
    place = tuple_(Generation.priority, Generation.virtual_start, Generation.queued_at, Generation.id)
    query = select(func.count(), func.coalesce(func.sum(Generation.expected_s), 0.0)).where(
        Generation.pool == row.pool,
        Generation.state == GenerationState.QUEUED,
        place < tuple_(row.priority, row.virtual_start, row.queued_at, row.id),
    )
    count, seconds = (await session.execute(query)).one()
    return count, float(seconds)


async def running(session: AsyncSession, pool: str) -> Sequence[tuple[str, float]]:
    """Rows that are being drawn, with their expected seconds."""
    query = select(Generation.id, Generation.expected_s).where(
        Generation.pool == pool, Generation.state == GenerationState.RUNNING
    )
    return [(row.id, row.expected_s) for row in await session.execute(query)]


async def served(session: AsyncSession, pool: str, priority: int) -> list[Served]:
    """The latest pictures that were made at the first attempt; the condition says "claimed" too, in its index's words."""
    query = (
        select(Generation.expected_s, Generation.started_at, Generation.finished_at)
        .where(Generation.pool == pool, Generation.priority == priority, Generation.attempt > 0)
        .where(Generation.attempt == 1, Generation.state == GenerationState.READY)
        .order_by(Generation.virtual_start.desc())
        .limit(NUM_SERVED)
    )
    return [
        Served(row.expected_s, row.started_at, row.finished_at)
        for row in await session.execute(query)
        if row.started_at is not None and row.finished_at is not None
    ]
