"""INSERT ... ON CONFLICT DO UPDATE, which both databases have and SQLAlchemy spells twice."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.base import Base


async def upsert(
    session: AsyncSession,
    table: type[Base],
    values: Mapping[str, Any],
    *,
    key: Sequence[str],
    where: ColumnElement[bool] | None = None,
) -> bool:
    """Insert the row, or overwrite its other columns when a row of that key exists and `where` holds.

    Returns:
        Whether a row was written.
    """
    rest = {name: value for name, value in values.items() if name not in key}
    first_key = getattr(table, key[0])
    if session.get_bind().dialect.name == "sqlite":
        statement = sqlite.insert(table).values(values)
    else:
        statement = postgresql.insert(table).values(values)
    upserting = statement.on_conflict_do_update(index_elements=list(key), set_=rest, where=where).returning(first_key)
    return (await session.scalars(upserting)).first() is not None
