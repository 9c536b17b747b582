"""The generic cell rate algorithm (ITU-T I.371): one moment per caller says how much of a burst is left.

`BurstStore` is where those moments lie. In memory each gateway counts for itself; a shared store counts for all of them.
"""

from dataclasses import dataclass
from typing import Final, Protocol

SWEEP_AT: Final = 10_000
"""Callers in memory at which those whose burst is whole again are forgotten."""

SLACK: Final = 1e-3
"""Of an interval: sums of intervals are not exact, and a burst is a whole number of requests."""


@dataclass(frozen=True)
class BurstLimit:
    """So many requests at once, and so many a second from then on."""

    name: str
    burst: int
    per_s: float

    @property
    def interval_s(self) -> float:
        return 1.0 / self.per_s

    @property
    def window_s(self) -> float:
        """Seconds until a burst that is used up is whole again."""
        return self.burst * self.interval_s


@dataclass(frozen=True)
class Verdict:
    """Whether a request may pass, how many more might at once, and when (in seconds) another may where none might."""

    passes: bool
    remaining: int
    retry_s: float
    whole_s: float
    """Seconds until the whole burst is there again."""


def judge(limit: BurstLimit, arrival_s: float, now_s: float) -> tuple[Verdict, float]:
    """Judge one request. `arrival_s` is the theoretical arrival time that was kept; its successor is returned beside."""
    next_s = max(arrival_s, now_s) + limit.interval_s
    early_s = next_s - limit.window_s - now_s
    if early_s > limit.interval_s * SLACK:
        return refused(limit, early_s), arrival_s
    return passed(limit, next_s - now_s), next_s


def passed(limit: BurstLimit, whole_s: float) -> Verdict:
    """A request passes, and the burst is whole again in so many seconds."""
    return Verdict(True, int((limit.window_s - whole_s) / limit.interval_s + SLACK), 0.0, whole_s)


def refused(limit: BurstLimit, early_s: float) -> Verdict:
    """A request comes so many seconds too early."""
    return Verdict(False, 0, early_s, early_s + limit.window_s - limit.interval_s)


class BurstStore(Protocol):
    """Keeps a moment for each caller and limit."""

    async def take(self, limit: BurstLimit, caller: str, now_s: float) -> Verdict:
        """Count one request of this caller, unless it does not pass."""
        ...

    async def give_back(self, limit: BurstLimit, caller: str) -> None:
        """The request that was counted last should not have been."""
        ...


class MemoryBurstStore:
    """One gateway's own count. A restart forgives."""

    def __init__(self, sweep_at: int = SWEEP_AT) -> None:
        self._arrivals_s: dict[tuple[str, str], float] = {}
        self._sweep_at = sweep_at

    async def take(self, limit: BurstLimit, caller: str, now_s: float) -> Verdict:
        key = (limit.name, caller)
        verdict, arrival_s = judge(limit, self._arrivals_s.get(key, now_s), now_s)
        self._arrivals_s[key] = arrival_s
        if len(self._arrivals_s) > self._sweep_at:
            self._forget_whole(now_s)
        return verdict

    async def give_back(self, limit: BurstLimit, caller: str) -> None:
        key = (limit.name, caller)
        if key in self._arrivals_s:
            self._arrivals_s[key] -= limit.interval_s

    def _forget_whole(self, now_s: float) -> None:
        self._arrivals_s = {key: arrival_s for key, arrival_s in self._arrivals_s.items() if arrival_s > now_s}
        self._sweep_at = max(SWEEP_AT, 2 * len(self._arrivals_s))
