"""Queries on accounts and API keys."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey


async def account_by_name(session: AsyncSession, name: str) -> Account | None:
    return await session.scalar(select(Account).where(Account.name == name))


KEY = select(
    ApiKey.id,
    ApiKey.account_id,
    ApiKey.digest,
    ApiKey.previous_digest,
    ApiKey.previous_until,
    ApiKey.scopes,
    ApiKey.expires_at,
    ApiKey.revoked_at,
).where(or_(ApiKey.digest == bindparam("digest"), ApiKey.previous_digest == bindparam("digest")))
"""The key that has, or had before its last rotation, this digest. Made once: every request asks it."""


async def note_uses(session: AsyncSession, used: Mapping[str, datetime]) -> None:
    """Write when each key, by its id, was last used."""
    for key_id, moment in used.items():
        await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=moment))
