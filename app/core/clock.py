"""What time it is. Everything that depends on time takes a Clock or a time, so that tests hold it still."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A wall clock in UTC and a clock that never runs backwards."""

    def utc_now(self) -> datetime: ...

    def monotonic_s(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    def utc_now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """Both clocks move only when told to. For tests and demonstrations."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic_s = 0.0

    def utc_now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> datetime:
        """Move both clocks forward and return the new wall time."""
        self._now += timedelta(seconds=seconds)
        self._monotonic_s += seconds
        return self._now
