"""Spending limits of keys: one guarded counter, raised at submit and lowered when nothing was delivered (app.core.claims)."""

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.api_key import ApiKey
from app.core.errors import SpendingLimitReached
from app.metering.pricing import credits_text


async def spend(session: AsyncSession, key_id: str, micro: int) -> None:
    """Count this against the key's limit, or raise SpendingLimitReached; then nothing was written."""
    fits = or_(ApiKey.spending_limit_micro.is_(None), ApiKey.spent_micro + micro <= ApiKey.spending_limit_micro)
    spending = update(ApiKey).where(ApiKey.id == key_id, fits).values(spent_micro=ApiKey.spent_micro + micro)
    if (await session.scalars(spending.returning(ApiKey.id), execution_options={"synchronize_session": False})).first():
        return
    query = select(ApiKey.spending_limit_micro, ApiKey.spent_micro).where(ApiKey.id == key_id)
    found, spent = (await session.execute(query)).one()
    limit = found or 0
    text = f"this costs {credits_text(micro)}, and the key has spent {credits_text(spent)} of {credits_text(limit)}"
    raise SpendingLimitReached(f"the key's spending limit is reached: {text}", required_micro=micro, limit_micro=limit)
