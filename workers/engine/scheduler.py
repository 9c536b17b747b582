"""Scheduler: which rows run next, and which leave the window again. Pure: it sees values, is told the time, and does nothing.

Order: class of service first; within a class the rows that are about to miss a deadline they can still meet, then least
remaining work, less what the row has waited (ageing). Two waiting rows age alike, so a row of w seconds is overtaken only by
rows that arrive within w / ageing seconds after it: nothing starves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workers.engine.row import RowKey, Shape

Rank = tuple[int, bool, float, float, RowKey]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The scheduler's view of a row. Times are seconds of the engine's monotonic clock."""

    key: RowKey
    shape: Shape
    priority: int
    work_left_s: float
    arrived_at_s: float
    deadline_at_s: float
    has_begun: bool = False
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Opening:
    """What a full window still admits: rows ahead of (priority, expected seconds)."""

    priority: int
    shorter_than_s: float


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Least remaining work first, with ageing, deadlines and classes."""

    window: int = 8
    """Rows held at a time. Soft: a shorter row always gets in, and the least urgent unstarted one leaves for it."""
    ageing: float = 0.05
    """Seconds of remaining work that a second of waiting is worth."""
    deadline_margin: float = 1.5
    """A deadline counts as near when the time left is under this many times the work left."""

    def rank(self, row: Candidate, now_s: float) -> Rank:
        """Rows run in ascending rank."""
        return (row.priority, not self._is_pressing(row, now_s), self.urgency_s(row, now_s), row.arrived_at_s, row.key)

    def urgency_s(self, row: Candidate, now_s: float) -> float:
        """Work left in seconds, less the credit for having waited; smaller is more urgent."""
        return row.work_left_s - self.ageing * max(0.0, now_s - row.arrived_at_s)

    def pick(self, rows: Sequence[Candidate], now_s: float, best_rows: Callable[[Shape], int]) -> list[Candidate]:
        """The rows of the next step: the most urgent one and, as far as it pays, its equals in shape and class."""
        if not rows:
            return []
        ranked = sorted(rows, key=lambda row: self.rank(row, now_s))
        first = ranked[0]
        if first.is_alone:
            return [first]
        company = [row for row in ranked if row.shape == first.shape and row.priority == first.priority]
        return [row for row in company if not row.is_alone][: best_rows(first.shape)]

    def room(self, rows: Sequence[Candidate]) -> int:
        """Rows that may be claimed whatever they are."""
        return max(0, self.window - len(rows))

    def opening(self, rows: Sequence[Candidate], now_s: float) -> Opening | None:
        """What may enter a full window: whatever is sure to rank ahead of the row that would leave for it, or, if every
        row has begun, ahead of the last of them. None while there is room, or when nothing could get ahead."""
        if self.room(rows):
            return None
        leaver = max(_unstarted(rows) or rows, key=lambda row: self.rank(row, now_s))
        return Opening(leaver.priority, self.urgency_s(leaver, now_s))

    def surplus(self, rows: Sequence[Candidate], now_s: float) -> list[RowKey]:
        """The unstarted rows, least urgent first, that leave for the window to shrink to its size. The most urgent of them
        always stays: it is what the window was opened for."""
        leavers = sorted(_unstarted(rows), key=lambda row: self.rank(row, now_s), reverse=True)[:-1]
        return [row.key for row in leavers[: max(0, len(rows) - self.window)]]

    def _is_pressing(self, row: Candidate, now_s: float) -> bool:
        time_left_s = row.deadline_at_s - now_s
        return row.work_left_s <= time_left_s < self.deadline_margin * row.work_left_s


def _unstarted(rows: Sequence[Candidate]) -> list[Candidate]:
    return [row for row in rows if not row.has_begun]
