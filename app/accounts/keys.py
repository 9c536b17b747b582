"""The keys of an account as its owner handles them. A key of another account does not exist here. Each change leaves an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.audit_log import Action, Actor, record
from app.auth import service
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.auth.service import Caller, NewKey
from app.core.db.tables.api_key import ApiKey
from app.core.errors import NotFound, NotPermitted
from app.core.ids import is_id
from app.core.secret_file import Secrets


@dataclass(frozen=True)
class KeyOrder:
    """What a key is to be."""

    name: str = ""
    scopes: Sequence[Scope] = DEFAULT_SCOPES
    expires_at: datetime | None = None
    spending_limit_micro: int | None = None


async def list_keys(session: AsyncSession, account_id: str) -> Sequence[ApiKey]:
    """Newest first, revoked ones included."""
    query = select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.created_at.desc(), ApiKey.id)
    return (await session.scalars(query)).all()


async def get_key(session: AsyncSession, account_id: str, key_id: str) -> ApiKey:
    """Raises NotFound, for a key of another account as well."""
    row = await session.get(ApiKey, key_id) if is_id(key_id) else None
    if row is None or row.account_id != account_id:
        raise NotFound(f"there is no key {key_id!r}", field="key_id", value=key_id)
    return row


async def check_may_manage(session: AsyncSession, caller: Caller, scopes: Sequence[Scope] = ()) -> None:
    """Nobody gives a key more than the own one has: no further scope, and no way around a spending limit."""
    excess = sorted(set(scopes) - caller.scopes)
    if excess:
        raise NotPermitted(f"this key lacks what it would give: {', '.join(excess)}", field="scopes", value=excess)
    limit = select(ApiKey.spending_limit_micro).where(ApiKey.id == caller.key_id)
    if await session.scalar(limit) is not None:
        raise NotPermitted("a key with a spending limit makes, changes and rotates no keys")


async def create_key(
    session: AsyncSession, account_id: str, order: KeyOrder, secrets: Secrets, actor: Actor, now: datetime
) -> NewKey:
    made = await service.create_key(
        session,
        account_id,
        secrets,
        now,
        name=order.name,
        scopes=order.scopes,
        expires_at=order.expires_at,
        spending_limit_micro=order.spending_limit_micro,
    )
    detail = {
        "name": order.name,
        "scopes": [str(scope) for scope in order.scopes],
        "expires_at": None if order.expires_at is None else order.expires_at.isoformat(),
        "spending_limit_micro": order.spending_limit_micro,
    }
    await record(session, actor, Action.KEY_CREATED, account_id, now, subject=made.id, detail=detail)
    return made


async def change_key(
    session: AsyncSession, row: ApiKey, changes: Mapping[str, Any], actor: Actor, now: datetime
) -> None:
    """Set `name` or `spending_limit_micro`. A limit below what was spent lets nothing more be spent."""
    for name, value in changes.items():
        setattr(row, name, value)
    await record(session, actor, Action.KEY_CHANGED, row.account_id, now, subject=row.id, detail=changes)


async def rotate_key(
    session: AsyncSession, row: ApiKey, overlap: timedelta, secrets: Secrets, actor: Actor, now: datetime
) -> NewKey:
    """Another secret for this key; the one before works until the overlap ends."""
    made = await service.rotate_key(row, secrets, now, overlap)
    detail = {"overlap_s": round(overlap.total_seconds())}
    await record(session, actor, Action.KEY_ROTATED, row.account_id, now, subject=row.id, detail=detail)
    return made


async def revoke_key(session: AsyncSession, row: ApiKey, actor: Actor, now: datetime) -> None:
    """Refuse the key from the next request on. Revoking again changes nothing."""
    if row.revoked_at is not None:
        return
    await service.revoke_key(session, row.id, now)
    await record(session, actor, Action.KEY_REVOKED, row.account_id, now, subject=row.id)
