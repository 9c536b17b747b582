"""Waiting for tasks to end: however many wait, there is one subscription to the news, and one look a second at the database."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from app.core.errors import NotFound
from app.core.states import ACTIVE_STATES
from app.dependencies import Gateway
from app.generations import repository
from app.generations.repository import TaskRead

LOOK_S = 1.0
"""News may get lost; SQL knows."""
MAX_IDS = 500
"""Of one statement."""

log = structlog.stdlib.get_logger(__name__)


class Waiters:
    """Who waits for which task in this gateway."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def __len__(self) -> int:
        return sum(len(events) for events in self._waiting.values())

    @contextmanager
    def listen(self, task_id: str) -> Generator[asyncio.Event]:
        """An event that is set whenever something may have ended in this task."""
        news = asyncio.Event()
        self._waiting.setdefault(task_id, set()).add(news)
        try:
            yield news
        finally:
            self._waiting[task_id].discard(news)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    def wake(self, task_id: str) -> None:
        """Something has ended in this task."""
        for news in self._waiting.get(task_id, ()):
            news.set()

    async def look(self, database: Database) -> None:
        """Wake whoever waits for a task that has ended."""
        ids = list(self._waiting)
        for start in range(0, len(ids), MAX_IDS):
            some = ids[start : start + MAX_IDS]
            active = select(Generation.task_id).where(
                Generation.task_id.in_(some), Generation.state.in_(sorted(ACTIVE_STATES))
            )
            async with database.read() as session:
                unfinished = set(await session.scalars(active))
            for task_id in some:
                if task_id not in unfinished:
                    self.wake(task_id)

    async def look_forever(self, database: Database) -> None:
        """Look every second for as long as anybody waits."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look(database)
            except (SQLAlchemyError, OSError) as error:
                log.warning("the database could not be asked what has ended", error=str(error))


async def until_ended(parts: Gateway, waiters: Waiters, task_id: str) -> TaskRead:
    """The task, once all of its images are final. Raises NotFound for one that is unknown or has expired."""
    with waiters.listen(task_id) as news:
        while True:
            news.clear()
            found = await repository.look_up_task(parts.database, task_id, parts.clock.utc_now())
            if found is None:
                raise NotFound("the task is unknown, or it has expired", field="id", value=task_id)
            if all(one.state not in ACTIVE_STATES for one in found.generations):
                return found
            del found  # thousands may wait here
            await news.wait()
