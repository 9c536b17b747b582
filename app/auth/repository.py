"""Queries on accounts and API keys."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey


async def account_by_name(session: AsyncSession, name: str) -> Account | None:
    return await session.scalar(select(Account).where(Account.name == name))


async def key_by_digest(session: AsyncSession, digest: str) -> ApiKey | None:
    """The key that has, or had before its last rotation, this digest."""
    return await session.scalar(select(ApiKey).where(or_(ApiKey.digest == digest, ApiKey.previous_digest == digest)))


async def note_uses(session: AsyncSession, used: Mapping[str, datetime]) -> None:
    """Write when each key, by its id, was last used."""
    for key_id, moment in used.items():
        await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=moment))
