"""Who changed what about whom: one event beside each change, in the same transaction, never altered afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.audit_event import AuditEvent


class Action(StrEnum):
    """What can happen to an account."""

    ACCOUNT_OPENED = "account.opened"
    ACCOUNT_CHANGED = "account.changed"
    KEY_CREATED = "key.created"
    KEY_CHANGED = "key.changed"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    CREDITS_ADDED = "credits.added"
    CREDITS_ADJUSTED = "credits.adjusted"
    USAGE_REPORTED = "usage.reported"
    FILE_UPLOADED = "file.uploaded"
    FILE_DELETED = "file.deleted"


@dataclass(frozen=True)
class Actor:
    """Who acts: a key (`key:ID`) by a request, or a command on the server."""

    name: str
    request_id: str | None = None


async def record(
    session: AsyncSession,
    actor: Actor,
    action: Action,
    account_id: str,
    now: datetime,
    *,
    subject: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append an event. `detail` holds names and amounts; never a key, a digest or an address."""
    session.add(
        AuditEvent(
            at=now,
            actor=actor.name,
            action=action,
            account_id=account_id,
            subject=subject,
            detail=dict(detail or {}),
            request_id=actor.request_id,
        )
    )
    await session.flush()


async def events(
    session: AsyncSession, *, account_id: str | None = None, before: int | None = None, limit: int = 100
) -> Sequence[AuditEvent]:
    """The newest events, of one account or of all, older than the event `before`."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(AuditEvent.account_id == account_id)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return (await session.scalars(query)).all()
