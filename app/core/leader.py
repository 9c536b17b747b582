"""A lock in SQL for jobs that one process at a time should do. It ends by itself when its holder dies."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.leader_lock import LeaderLock
from app.core.db.upsert import upsert


async def leads(session: AsyncSession, name: str, holder: str, now: datetime, margin_s: float) -> bool:
    """Whether the holder leads for at least that much longer. A read: ask it before try_lead."""
    query = select(LeaderLock.until).where(LeaderLock.name == name, LeaderLock.holder == holder)
    until = (await session.scalars(query)).first()
    return until is not None and until > now + timedelta(seconds=margin_s)


async def try_lead(session: AsyncSession, name: str, holder: str, now: datetime, ttl_s: float) -> bool:
    """Take or renew the lead for ttl_s seconds; False while another holder has it."""
    values = {"name": name, "holder": holder, "until": now + timedelta(seconds=ttl_s)}
    free = or_(LeaderLock.holder == holder, LeaderLock.until <= now)
    return await upsert(session, LeaderLock, values, key=["name"], where=free)
