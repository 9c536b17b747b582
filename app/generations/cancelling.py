"""Cancel a task: what waits ends at once and costs nothing; what runs stops at its worker's next step."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import claims
from app.core.db.tables.generation import Generation
from app.core.events.base import Cancel
from app.core.states import GenerationState
from app.dependencies import Gateway


async def cancel(parts: Gateway, task_id: str) -> None:
    """Cancel whatever of the task is unfinished, and tell the workers; again, or when all is over, nothing happens.

    The caller has made sure whose task it is.
    """
    async with parts.database.write() as session:
        await claims.request_cancel(session, task_id, parts.clock.utc_now())
        running = await _running(session, task_id)
    for generation_id in running:
        parts.events.publish(Cancel(generation_id))


async def _running(session: AsyncSession, task_id: str) -> list[str]:
    query = select(Generation.id).where(Generation.task_id == task_id, Generation.state == GenerationState.RUNNING)
    return list(await session.scalars(query))
