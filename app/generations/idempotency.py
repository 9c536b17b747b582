"""A request that is sent again gets its first answer again, and makes nothing twice.

The key's row is inserted in the submit's own transaction, before anything else. Whoever else has the same key then waits for
that transaction (PostgreSQL for the row, SQLite for the writer), and reads the answer, or, where it was rolled back, is first.
So a refusal leaves no row, and the same key may be tried again.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.idempotency_key import IdempotencyKey
from app.core.db.upsert import upsert
from app.core.errors import IdempotencyMismatch


@dataclass(frozen=True)
class Retryable:
    """What makes a request of an account recognisable: its key, where it was sent, and a digest of its body."""

    key: str
    route: str
    request_hash: str


@dataclass(frozen=True)
class Answer:
    """What a request is answered, the first time and each time after."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict[str, str])
    is_replay: bool = False


async def earlier_answer(
    session: AsyncSession, account_id: str, request: Retryable, now: datetime, ttl: timedelta
) -> Answer | None:
    """The answer that this request got before; None when it is the first, whose transaction then has to `keep` one.

    Raises:
        IdempotencyMismatch: the key came with another body.
    """
    names = {"account_id": account_id, "route": request.route, "key": request.key}
    rest = {"request_hash": request.request_hash, "task_id": None, "answer": None}
    values = {**names, **rest, "created_at": now, "expires_at": now + ttl}
    if await upsert(session, IdempotencyKey, values, key=list(names), where=IdempotencyKey.expires_at <= now):
        return None
    query = select(IdempotencyKey.request_hash, IdempotencyKey.answer).where(*_is(account_id, request))
    request_hash, answer = (await session.execute(query)).one()
    if request_hash != request.request_hash or answer is None:
        raise IdempotencyMismatch(
            f"Idempotency-Key {request.key!r} was sent with another body before; send that body, or another key"
        )
    return Answer(**answer, is_replay=True)


async def keep(session: AsyncSession, account_id: str, request: Retryable, task_id: str, answer: Answer) -> None:
    """Keep the answer beside the key that this transaction has inserted."""
    kept = {name: value for name, value in asdict(answer).items() if name != "is_replay"}
    keeping = update(IdempotencyKey).where(*_is(account_id, request)).values(task_id=task_id, answer=kept)
    await session.execute(keeping, execution_options={"synchronize_session": False})


async def has_expired(session: AsyncSession, now: datetime) -> bool:
    """Whether `forget_expired` would do anything. A read, so that a quiet service takes no write lock."""
    query = select(IdempotencyKey.key).where(IdempotencyKey.expires_at <= now).limit(1)
    return (await session.scalars(query)).first() is not None


async def forget_expired(session: AsyncSession, now: datetime) -> None:
    """Delete keys whose time is over: they are new ones already."""
    forgetting = delete(IdempotencyKey).where(IdempotencyKey.expires_at <= now)
    await session.execute(forgetting, execution_options={"synchronize_session": False})


def _is(account_id: str, request: Retryable):
    return (
        IdempotencyKey.account_id == account_id,
        IdempotencyKey.route == request.route,
        IdempotencyKey.key == request.key,
    )
