"""Free images: counted from the rows themselves, so that what fails is given back by failing, whatever crashes.

An image counts from its submit until it ends without a picture. It counts on the day and in the month (UTC) of its submit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.plans import Quota
from app.core.db.tables.generation import Generation
from app.core.states import ACTIVE_STATES, GenerationState

COUNTED_STATES = sorted({*ACTIVE_STATES, GenerationState.READY})


@dataclass(frozen=True)
class Window:
    """A day or a month: what it is called, when it began, when the next one does, and how many images it allows."""

    name: str
    begins: datetime
    renews: datetime
    limit: int


@dataclass(frozen=True)
class Usage:
    """A window and how many of its images are taken."""

    window: Window
    used: int

    @property
    def remaining(self) -> int:
        return max(0, self.window.limit - self.used)


def windows(quota: Quota, now: datetime) -> tuple[Window, Window]:
    """The day and the month that `now` (UTC) lies in."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    next_month = (month + timedelta(days=32)).replace(day=1)
    return (
        Window("day", day, day + timedelta(days=1), quota.images_per_day),
        Window("month", month, next_month, quota.images_per_month),
    )


async def usage(session: AsyncSession, account_id: str, quota: Quota, now: datetime) -> Sequence[Usage]:
    """`usage_on` for a caller that has a session."""
    return await (await session.connection()).run_sync(usage_on, account_id, quota, now)


def usage_on(connection: Connection, account_id: str, quota: Quota, now: datetime) -> Sequence[Usage]:
    """What is taken of each window. Exact inside a transaction that holds the account's row."""
    return [Usage(window, _num_taken(connection, account_id, window.begins)) for window in windows(quota, now)]


def is_anonymous_day_full(connection: Connection, window: Window, num_images: int) -> bool:
    """Whether so many more images of callers without a key would pass what all of them may have in this window."""
    query = select(func.count()).where(
        Generation.is_free,
        Generation.key_id.is_(None),
        Generation.queued_at >= window.begins,
        Generation.state.in_(COUNTED_STATES),
    )
    return (connection.scalar(query) or 0) + num_images > window.limit


def _num_taken(connection: Connection, account_id: str, since: datetime) -> int:
    query = select(func.count()).where(
        Generation.is_free,
        Generation.account_id == account_id,
        Generation.queued_at >= since,
        Generation.state.in_(COUNTED_STATES),
    )
    return connection.scalar(query) or 0
