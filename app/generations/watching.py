"""Watching tasks on their way: however many watch, there is one subscription to the news, and one look a second at the database.

A watcher is woken by what workers tell and by what the look finds changed, and reads rows only when those may have changed.
"""

import asyncio
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from app.core.errors import NotFound
from app.core.events.base import Preview, Progress
from app.core.events.progress_board import ProgressBoard
from app.core.states import GenerationState
from app.dependencies import Gateway
from app.generations import repository
from app.generations.repository import TaskRead
from app.generations.waiting import LOOK_S, MAX_IDS

_RUNNING = GenerationState.RUNNING
_QUEUED = GenerationState.QUEUED

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a generation stands: its state, its attempt, and how many go before it while it is queued."""

    state: str
    attempt: int
    position: int | None = None


@dataclass(slots=True, eq=False)
class Watched:
    """A task that somebody in this gateway watches; one for all who do."""

    standings: dict[str, Standing] = field(default_factory=dict[str, Standing])
    """By generation, as SQL had them last."""
    previews: dict[str, Preview] = field(default_factory=dict[str, Preview])
    """The latest of each generation that runs."""
    version: int = 0
    """Grows whenever rows may have changed."""
    listeners: set[asyncio.Event] = field(default_factory=set[asyncio.Event])

    def wake(self) -> None:
        for news in self.listeners:
            news.set()

    def changed(self) -> None:
        """Its rows may be others than whoever watches knows."""
        self.version += 1
        self.wake()


class Watch:
    """One watcher's view of a task."""

    def __init__(self, watchers: "Watchers", watched: Watched, task_id: str) -> None:
        self._watchers = watchers
        self._watched = watched
        self._task_id = task_id
        self._version = -1
        self._news = asyncio.Event()
        watched.listeners.add(self._news)

    @property
    def is_stale(self) -> bool:
        """Whether rows may have changed since they were read."""
        return self._version != self._watched.version

    async def read(self, parts: Gateway) -> TaskRead:
        """The task's rows as they are. Raises NotFound for one that is unknown or has expired."""
        version = self._watched.version
        async with parts.database.read() as session:
            found = await repository.find_task(session, self._task_id, parts.clock.utc_now())
            if found is None:
                raise NotFound("the task is unknown, or it has expired", field="id", value=self._task_id)
            standings = await _with_positions(session, {one.id: (one.state, one.attempt) for one in found.generations})
        version += self._watchers.note(self._task_id, standings)
        self._version = version
        return found

    @property
    def standings(self) -> Mapping[str, Standing]:
        """Of the task's generations, by index, as SQL had them last; none before the first read."""
        return self._watched.standings

    def preview(self, generation_id: str) -> Preview | None:
        return self._watched.previews.get(generation_id)

    async def news(self) -> None:
        """Return when something has happened since the last return."""
        await self._news.wait()
        self._news.clear()

    def wake(self) -> None:
        """Let whoever waits for news look around."""
        self._news.set()

    def end(self) -> None:
        self._watched.listeners.discard(self._news)


class Watchers:
    """Who watches which task in this gateway."""

    def __init__(self, progress: ProgressBoard) -> None:
        self._progress = progress
        self._tasks: dict[str, Watched] = {}
        self._task_of: dict[str, Watched] = {}
        """By generation."""

    def __len__(self) -> int:
        return sum(len(watched.listeners) for watched in self._tasks.values())

    def is_watched(self, generation_id: str) -> bool:
        return generation_id in self._task_of

    @contextmanager
    def watch(self, task_id: str) -> Generator[Watch]:
        """Hear of this task until the block ends; then nothing is left of it."""
        watched = self._tasks.setdefault(task_id, Watched())
        watch = Watch(self, watched, task_id)
        try:
            yield watch
        finally:
            watch.end()
            if not watched.listeners:
                del self._tasks[task_id]
                for generation_id in watched.standings:
                    del self._task_of[generation_id]

    def settled(self, task_id: str) -> None:
        """Something has ended in this task."""
        if (watched := self._tasks.get(task_id)) is not None:
            watched.changed()

    def hear(self, news: Progress | Preview) -> None:
        """A worker tells of a generation that it draws; what nobody watches is not kept."""
        watched = self._task_of.get(news.generation_id)
        if watched is None:
            return
        if isinstance(news, Preview):
            watched.previews[news.generation_id] = news
        if watched.standings[news.generation_id].state == _RUNNING:
            watched.wake()
        else:
            watched.changed()

    def note(self, task_id: str, standings: dict[str, Standing]) -> int:
        """Keep what SQL says of a task, and wake its watchers if it is news to them.

        Returns:
            By how much its version has grown.
        """
        watched = self._tasks.get(task_id)
        if watched is None or standings == watched.standings:
            return 0
        before, watched.standings = watched.standings, standings
        self._task_of.update(dict.fromkeys(standings, watched))
        for generation_id, standing in standings.items():
            self._forget_other_attempts(watched, generation_id, before.get(generation_id), standing)
        if not before:
            return 0
        watched.changed()
        return 1

    def _forget_other_attempts(self, watched: Watched, one: str, before: Standing | None, now: Standing) -> None:
        """What was heard of an attempt says nothing of the next."""
        is_new = before is not None and before.state == _RUNNING and before.attempt != now.attempt
        if now.state != _RUNNING or is_new:
            watched.previews.pop(one, None)
            self._progress.forget(one)

    async def look(self, database: Database) -> None:
        """Tell whoever watches a task what has changed in it."""
        ids = list(self._tasks)
        for start in range(0, len(ids), MAX_IDS):
            async with database.read() as session:
                found = await _standings(session, ids[start : start + MAX_IDS])
            for task_id, standings in found.items():
                self.note(task_id, standings)

    async def look_forever(self, database: Database) -> None:
        """Look every second for as long as anybody watches."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look(database)
            except (SQLAlchemyError, OSError) as error:
                log.warning("the database could not be asked what has changed", error=str(error))


async def _standings(session: AsyncSession, task_ids: Sequence[str]) -> dict[str, dict[str, Standing]]:
    """By task and generation."""
    rows = await session.execute(
        select(Generation.task_id, Generation.id, Generation.state, Generation.attempt)
        .where(Generation.task_id.in_(task_ids))
        .order_by(Generation.task_id, Generation.index)
    )
    by_id = {one: (task_id, state, attempt) for task_id, one, state, attempt in rows}
    placed = await _with_positions(session, {one: (state, attempt) for one, (_, state, attempt) in by_id.items()})
    found: dict[str, dict[str, Standing]] = {}
    for one, standing in placed.items():
        found.setdefault(by_id[one][0], {})[one] = standing
    return found


async def _with_positions(session: AsyncSession, rows: dict[str, tuple[str, int]]) -> dict[str, Standing]:
    positions = await _positions(session, [one for one, (state, _) in rows.items() if state == _QUEUED])
    return {one: Standing(state, attempt, positions.get(one)) for one, (state, attempt) in rows.items()}


async def _positions(session: AsyncSession, ids: Iterable[str]) -> dict[str, int]:
    """How many queued rows of its pool go before each: 0 for the next. One walk along the queue's index."""
    wanted = list(ids)
    if not wanted:
        return {}
    order = (Generation.priority, Generation.virtual_start, Generation.queued_at, Generation.id)
    place = func.row_number().over(partition_by=Generation.pool, order_by=order).label("place")
    queue = select(Generation.id, place).where(Generation.state == _QUEUED).subquery()
    rows = await session.execute(
        select(queue.c.id, (queue.c.place - 1).label("position")).where(queue.c.id.in_(wanted))
    )
    return {row.id: row.position for row in rows}
