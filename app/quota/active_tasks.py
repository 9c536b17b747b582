"""Unfinished tasks of an account, in all and of one public name: Black Forest Labs' limit, and the strongest tool of fairness."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.generation import IS_ACTIVE, Generation
from app.core.db.tables.task import Task


async def num_active(session: AsyncSession, account_id: str, model: str) -> tuple[int, int]:
    """Tasks with anything queued or running: of the account, and of those the ones of this name."""
    unfinished = (
        select(Task.model, func.count(Generation.task_id.distinct()))
        .join(Task, Task.id == Generation.task_id)
        .where(Generation.account_id == account_id, IS_ACTIVE)
        .group_by(Task.model)
    )
    by_model = {row[0]: row[1] for row in await session.execute(unfinished)}
    return sum(by_model.values()), by_model.get(model, 0)
