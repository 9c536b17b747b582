"""Accounts and their keys: open, create, rotate, revoke, look up. Every function works inside the caller's transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import keys, repository
from app.auth.repository import KeyRow
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey
from app.core.errors import Conflict, InvalidRequest, NotFound
from app.core.ids import new_id
from app.core.secret_file import Secrets

MAX_NAME_CHARS = 255


@dataclass(frozen=True)
class Caller:
    """Who sent a request, as its key says, or (`key_id` is None) as its network does."""

    account_id: str
    key_id: str | None
    scopes: frozenset[str]


@dataclass(frozen=True)
class NewKey:
    """A key just made. `token` is the key itself: it cannot be shown again."""

    id: str
    token: str


async def open_account(session: AsyncSession, name: str, now: datetime) -> Account:
    """The account of this name, made with no credits when there is none yet."""
    if not 1 <= len(name.strip()) <= MAX_NAME_CHARS:
        limit = f"1 to {MAX_NAME_CHARS} characters"
        raise InvalidRequest(f"an account's name has {limit}", field="name", value=name, limit=limit)
    found = await repository.account_by_name(session, name)
    if found is not None:
        return found
    account = Account(id=new_id(), name=name, posted_micro=0, held_micro=0, created_at=now)
    session.add(account)
    await session.flush()
    return account


async def create_key(
    session: AsyncSession,
    account_id: str,
    secrets: Secrets,
    now: datetime,
    *,
    name: str = "",
    scopes: Sequence[Scope] = DEFAULT_SCOPES,
    expires_at: datetime | None = None,
    spending_limit_micro: int | None = None,
) -> NewKey:
    """Make a key; only its digest is stored. Raises InvalidRequest for a limit below zero or a key that has expired."""
    if spending_limit_micro is not None and spending_limit_micro < 0:
        raise InvalidRequest("a spending limit is not negative", field="spending_limit", value=spending_limit_micro)
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("a key expires in the future", field="expires_at", value=expires_at.isoformat())
    if len(name) > MAX_NAME_CHARS:
        raise InvalidRequest("the key's name is too long", field="name", value=name, limit=MAX_NAME_CHARS)
    token = keys.new_key()
    row = ApiKey(
        id=new_id(),
        account_id=account_id,
        name=name,
        prefix=keys.PREFIX,
        last4=keys.last4(token),
        digest=keys.digest(token, secrets.key_pepper.get_secret_value()),
        pepper_id=secrets.pepper_id,
        scopes=[str(scope) for scope in scopes],
        expires_at=expires_at,
        spending_limit_micro=spending_limit_micro,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    return NewKey(row.id, token)


async def rotate_key(row: ApiKey, secrets: Secrets, now: datetime, overlap: timedelta) -> NewKey:
    """Another secret for the same key, with its rights, limit and spending; the secret before works until the overlap ends.

    Raises:
        Conflict: the key is revoked or has expired.
    """
    if not is_alive(row, now):
        raise Conflict("the key is revoked or has expired; make a new one")
    token = keys.new_key()
    row.previous_digest, row.previous_until = row.digest, now + overlap
    row.digest = keys.digest(token, secrets.key_pepper.get_secret_value())
    row.last4, row.pepper_id = keys.last4(token), secrets.pepper_id
    return NewKey(row.id, token)


async def revoke_key(session: AsyncSession, key_id: str, now: datetime) -> ApiKey:
    """Refuse the key from now on. Revoking again changes nothing."""
    row = await session.get(ApiKey, key_id)
    if row is None:
        raise NotFound(f"there is no key {key_id!r}", field="id", value=key_id)
    row.revoked_at = row.revoked_at or now
    return row


def is_alive(row: ApiKey | KeyRow, now: datetime) -> bool:
    """Whether the key still opens anything."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


async def look_up(session: AsyncSession, token: str, secrets: Secrets, now: datetime) -> Caller | None:
    """Who holds this key; None when nobody does, or it was revoked or has expired. The caller has checked its shape."""
    digest = keys.digest(token, secrets.key_pepper.get_secret_value())
    found = await session.execute(repository.KEY.statement, {"digest": digest})
    return _holder((KeyRow(*row) for row in found), digest, now)


async def holder_of(database: Database, token: str, secrets: Secrets, now: datetime) -> Caller | None:
    """`look_up` for who asks nothing else: one trip to the database."""
    digest = keys.digest(token, secrets.key_pepper.get_secret_value())
    found = await database.ask(repository.KEY, {"digest": digest})
    return _holder((KeyRow(*row) for row in found), digest, now)


def _holder(rows: Iterable[KeyRow], digest: str, now: datetime) -> Caller | None:
    for row in rows:
        if is_alive(row, now) and (keys.is_same(row.digest, digest) or _is_previous(row, digest, now)):
            return Caller(row.account_id, row.id, frozenset(row.scopes))
    return None


def _is_previous(row: ApiKey | KeyRow, digest: str, now: datetime) -> bool:
    """Whether this is the secret before the last rotation, and still works."""
    if row.previous_digest is None or row.previous_until is None or row.previous_until <= now:
        return False
    return keys.is_same(row.previous_digest, digest)
