"""Retrying what a database that is away keeps from happening, for as long as somebody wants it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

T = TypeVar("T")

AWAY = (DBAPIError, PoolTimeoutError, OSError)
"""Lost connections, locks, restarts. DBAPIError is wide: what time cannot mend is raised on."""
_MISTAKES = (IntegrityError, ProgrammingError, DataError)
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 2.0

log = structlog.stdlib.get_logger()


class Persisted(NamedTuple, Generic[T]):
    """What the action returned, or None when it was no longer wanted; and whether any try has failed before, which may
    have taken effect without our hearing of it."""

    value: T | None
    has_failed: bool


def delays() -> Iterator[float]:
    """Seconds to wait after each failure in turn: doubling up to a limit."""
    delay_s = FIRST_DELAY_S
    while True:
        yield delay_s
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)


async def persist(name: str, action: Callable[[], Awaitable[T]], is_wanted: Callable[[], bool]) -> Persisted[T]:
    """Try until the action succeeds or nobody wants it any more."""
    waits = delays()
    has_failed = False
    while is_wanted():
        try:
            return Persisted(await action(), has_failed)
        except AWAY as error:
            if isinstance(error, _MISTAKES):
                raise
            has_failed = True
            delay_s = next(waits)
            log.warning("retrying", action=name, error=str(error), delay_s=delay_s)
            await asyncio.sleep(delay_s)
    return Persisted(None, has_failed)
