"""Spending limits of keys: one guarded counter, raised at submit and lowered when nothing was delivered (app.core.claims)."""

from sqlalchemy import Connection, bindparam, or_, select, update

from app.core.db.prepared import Prepared
from app.core.db.sending import run
from app.core.db.tables.api_key import ApiKey
from app.core.errors import SpendingLimitReached
from app.metering.pricing import credits_text


def spend(connection: Connection, key_id: str, micro: int) -> None:
    """Count this against the key's limit, or raise SpendingLimitReached; then nothing was written."""
    if run(connection, _SPEND, {"key": key_id, "micro": micro}):
        return
    query = select(ApiKey.spending_limit_micro, ApiKey.spent_micro).where(ApiKey.id == key_id)
    found, spent = connection.execute(query).one()
    limit = found or 0
    text = f"this costs {credits_text(micro)}, and the key has spent {credits_text(spent)} of {credits_text(limit)}"
    raise SpendingLimitReached(f"the key's spending limit is reached: {text}", required_micro=micro, limit_micro=limit)


_FITS = or_(
    ApiKey.spending_limit_micro.is_(None), ApiKey.spent_micro + bindparam("micro") <= ApiKey.spending_limit_micro
)
_SPEND = Prepared(
    update(ApiKey)
    .where(ApiKey.id == bindparam("key"), _FITS)
    .values(spent_micro=ApiKey.spent_micro + bindparam("micro"))
    .returning(ApiKey.id)
)
