"""Unfinished tasks of an account, in all and of one public name: Black Forest Labs' limit, and the strongest tool of fairness."""

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.generation import IS_ACTIVE, Generation
from app.core.db.tables.task import Task

_ACTIVE = select(func.count(Generation.task_id.distinct())).where(
    Generation.account_id == bindparam("account"), IS_ACTIVE
)
_OF_MODEL = _ACTIVE.join(Task, Task.id == Generation.task_id).where(Task.model == bindparam("model"))

ACTIVE = (_ACTIVE.scalar_subquery(), _OF_MODEL.scalar_subquery())
"""Tasks with anything queued or running: of the `account`, and of those the ones of the `model`. For a statement that asks more at once."""


async def num_active(session: AsyncSession, account_id: str, model: str) -> tuple[int, int]:
    """Both counts."""
    active, of_model = (await session.execute(select(*ACTIVE), {"account": account_id, "model": model})).one()
    return active, of_model
