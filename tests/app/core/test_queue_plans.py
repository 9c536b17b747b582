"""What every submit, claim and sweep asks of SQLite is answered from an index, however many generations there ever were.

SQLite uses a partial index only for a query in the index's own words, so a reworded condition would read the whole table.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.plans import Quota
from app.core import claims, fairness
from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from app.core.fairness import Lane
from app.generations import estimates
from app.generations.repository import pools_left_waiting
from app.quota.active_tasks import num_active
from app.quota.free_images import usage
from tests.fixtures.accounts import EPOCH, NETWORK, POOL

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

Question = Callable[[AsyncSession], Awaitable[object]]
QUESTIONS: dict[str, Question] = {
    "tags": lambda session: fairness.tags(session, Lane(POOL, 0, NETWORK), "a", 1.0, 1.0),
    "has_work": lambda session: claims.has_work(session, POOL, [NETWORK], EPOCH),
    "claim": lambda session: claims.claim(session, "w", POOL, [NETWORK], 8, EPOCH, 12.0),
    "claim ahead": lambda session: claims.claim(session, "w", POOL, [NETWORK], 1, EPOCH, 12.0, (0, 5.0)),
    "sweep_is_due": lambda session: claims.sweep_is_due(session, EPOCH),
    "left waiting": lambda session: pools_left_waiting(session, EPOCH),
    "free images": lambda session: usage(session, "a", Quota(1, 1, frozenset(), 1), EPOCH),
    "ahead": lambda session: estimates.ahead(
        session, Generation(pool=POOL, priority=0, virtual_start=0.0, queued_at=EPOCH, id="a")
    ),
    "running": lambda session: estimates.running(session, POOL),
    "served": lambda session: estimates.served(session, POOL, 0),
    "active tasks": lambda session: num_active(session, "a", "flux-nano"),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_no_question_reads_the_whole_table(database: Database, name: str) -> None:
    asked: list[tuple[str, Any]] = []
    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
    async with database.write() as session:
        await QUESTIONS[name](session)
    async with database.engine.connect() as connection:
        for statement, values in [one for one in asked if one[0].startswith("SELECT")]:
            plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)).all()
            assert "SCAN generation" not in [row.detail for row in plan], statement
