"""Requests that are sent again, recognised by their Idempotency-Key before anything of their body is read."""

import re
from datetime import datetime

from fastapi import Request
from sqlalchemy import select

from app.core.db.engine import Database
from app.core.db.tables.idempotency_key import IdempotencyKey

HEADER = "Idempotency-Key"
MAX_CHARS = 255
LIMIT = f"1 to {MAX_CHARS} printable ASCII characters, bare or in double quotes"

_PRINTABLE = re.compile(rf"[\x20-\x7e]{{1,{MAX_CHARS}}}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\["\\])*"')
_ESCAPED = re.compile(r"\\(.)")


class MalformedKey(ValueError):
    """The header cannot be kept as it came. `value` is what came."""

    def __init__(self, message: str, value: str) -> None:
        super().__init__(message)
        self.value = value


def sent_key(request: Request) -> str | None:
    """The key, out of its quotes; None when there is none. Raises MalformedKey."""
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    if len(values) > 1:
        raise MalformedKey("it was sent more than once", ", ".join(values))
    key = values[0].strip()
    if _QUOTED.fullmatch(key):
        key = _ESCAPED.sub(r"\1", key[1:-1])
    if not _PRINTABLE.fullmatch(key):
        raise MalformedKey(f"it has {LIMIT}; this has {len(key)} characters", values[0])
    return key


async def is_sent_again(request: Request, database: Database, account_id: str, now: datetime) -> bool:
    """Whether this account has an answer under this key for this route already."""
    try:
        key = sent_key(request)
    except MalformedKey:
        return False
    if key is None:
        return False
    query = select(IdempotencyKey.key).where(
        IdempotencyKey.account_id == account_id,
        IdempotencyKey.route == request.url.path,
        IdempotencyKey.key == key,
        IdempotencyKey.expires_at > now,
    )
    async with database.read() as session:
        return await session.scalar(query) is not None
