"""What an account has used: generations that ended, and what was charged for them, by the day on which they did."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, case, func, literal_column, null, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.api_key import ApiKey
from app.core.db.tables.generation import Generation
from app.core.db.tables.ledger import LedgerTransaction
from app.core.db.tables.task import Task
from app.core.states import GenerationState

Grouping = Literal["day", "model", "key"]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)

_UTC: ColumnElement[str] = literal_column("'UTC'")
_PATTERN: ColumnElement[str] = literal_column("'YYYY-MM-DD'")
"""Words and no parameters: PostgreSQL takes two parameters for two expressions, and would not group by them."""


@dataclass(frozen=True)
class Usage:
    """One group. `images` were delivered, `free_images` of them without a price; `failed` were not, and cost nothing."""

    day: str | None
    model: str | None
    key_id: str | None
    key_name: str | None
    images: int
    free_images: int
    failed: int
    micro: int


async def usage(
    session: AsyncSession, account_id: str, groups: Sequence[Grouping], first: date, last: date
) -> list[Usage]:
    """By these groups, in their order, from the first day to the last (UTC), both included."""
    begins = datetime.combine(first, time(), UTC)
    ends = datetime.combine(last, time(), UTC) + timedelta(days=1)
    columns = _columns(groups, is_sqlite=session.get_bind().dialect.name == "sqlite")
    chosen = [column for column in columns if column is not None]
    is_ready = Generation.state == GenerationState.READY
    sums = (
        func.sum(case((is_ready, 1), else_=0)),
        func.sum(case((is_ready & Generation.is_free, 1), else_=0)),
        func.sum(case((is_ready, 0), else_=1)),
        func.sum(case((is_ready, Generation.price_micro), else_=0)),
    )
    query = (
        select(*(null() if column is None else column for column in columns), *sums)
        .select_from(LedgerTransaction)
        .join(Generation, Generation.id == LedgerTransaction.generation_id)
        .join(Task, Task.id == Generation.task_id)
        .outerjoin(ApiKey, ApiKey.id == Generation.key_id)
        .where(LedgerTransaction.account_id == account_id, LedgerTransaction.kind == "settle")
        .where(LedgerTransaction.created_at >= begins, LedgerTransaction.created_at < ends)
        .group_by(*chosen)
        .order_by(*chosen)
    )
    rows = [tuple(row) for row in (await session.execute(query)).all()]
    return [_usage(row[:4], row[4:]) for row in rows if row[4] is not None]


def _usage(groups: tuple[Any, ...], sums: tuple[Any, ...]) -> Usage:
    """PostgreSQL sums integers to decimals."""
    day, model, key_id, key_name = groups
    images, free_images, failed, micro = (int(value) for value in sums)
    return Usage(day, model, key_id, key_name, images, free_images, failed, micro)


def _columns(groups: Sequence[Grouping], *, is_sqlite: bool) -> list[ColumnElement[Any] | None]:
    """Day, model, key and its name; None for those that are not asked for."""
    at = LedgerTransaction.created_at
    day = func.date(at) if is_sqlite else func.to_char(func.timezone(_UTC, at), _PATTERN)
    by_group: dict[Grouping, list[ColumnElement[Any]]] = {
        "day": [day],
        "model": [Task.model.expression],
        "key": [Generation.key_id.expression, ApiKey.name.expression],
    }
    return [column if group in groups else None for group in GROUPINGS for column in by_group[group]]
