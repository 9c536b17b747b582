"""Queries on accounts and API keys."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.prepared import Prepared
from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey


async def account_by_name(session: AsyncSession, name: str) -> Account | None:
    return await session.scalar(select(Account).where(Account.name == name))


@dataclass(frozen=True)
class KeyRow:
    """What says whether a key works, and for whom: these columns of its row."""

    id: str
    account_id: str
    digest: str
    previous_digest: str | None
    previous_until: datetime | None
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None


KEY = Prepared(
    select(*(getattr(ApiKey, one.name) for one in fields(KeyRow))).where(
        or_(ApiKey.digest == bindparam("digest"), ApiKey.previous_digest == bindparam("digest"))
    )
)
"""The key that has, or had before its last rotation, this digest. Made once: every request asks it."""


async def note_uses(session: AsyncSession, used: Mapping[str, datetime]) -> None:
    """Write when each key, by its id, was last used."""
    for key_id, moment in used.items():
        await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=moment))
