"""Scheduler: which rows run next, and which leave the window again. Pure: it sees values, is told the time, and does nothing.

Order: class of service first, in which a row that waits moves up as it does in the queue; within a class the rows that are about
to miss a deadline they can still meet, then least remaining work, less what the row has waited (ageing). Two waiting rows age
alike, so a row of w seconds is overtaken only by rows that arrive within w / ageing seconds after it: nothing starves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workers.engine.row import RowKey, Shape

Rank = tuple[int, bool, float, float, RowKey]
PackSeconds = Callable[[Sequence[Shape]], float | None]
"""Seconds of one step of rows of these shapes together; None if that is yet to be found out."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The scheduler's view of a row. Times are seconds of the engine's monotonic clock."""

    key: RowKey
    shape: Shape
    priority: int
    work_left_s: float
    """Steps left times the measured cost of one: what decides which row runs."""
    expected_left_s: float
    """The same by the estimate that the queue has: what decides which row leaves the window, for a row in the queue can be
    compared with nothing else."""
    arrived_at_s: float
    deadline_at_s: float
    has_begun: bool = False
    is_alone: bool = False
    is_suspect: bool = False
    """To be run while no other row has begun."""
    has_room: bool = True
    """Whether its network's weights are there, or fit beside those of the rows that have begun."""


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
    class_ageing_s: float = 20.0
    """Seconds of waiting after which a row of a lower class counts as one class higher."""
    max_rows: int = 8
    """Rows in one forward, at most."""
    newcomers: int = 4
    """Rows yet to arrive that the time of a shared step counts for, besides those that wait."""
    deadline_margin: float = 1.5
    """A deadline counts as near when the time left is under this many times the work left."""

    def rank(self, row: Candidate, now_s: float) -> Rank:
        """Rows run in ascending rank."""
        urgency_s = row.work_left_s - self._credit_s(row, now_s)
        return (self._class(row, now_s), not self._is_pressing(row, now_s), urgency_s, row.arrived_at_s, row.key)

    def pick(self, rows: Sequence[Candidate], now_s: float, pack_s: PackSeconds) -> list[Candidate]:
        """The rows of the next step: the most urgent one and, in their order, those whose company pays.

        A row joins only rows of its network and class. What it costs is the delay of every row before it; what it saves is the rest of
        its own step, for itself and for every row behind it (`newcomers` stands for those that are yet to arrive): the change of the
        sum of latencies. Where rows in one forward cost as much as one after another, nothing joins.

        While the most urgent row cannot begin beside the rows that have begun, because it is a suspect or its weights do not fit, only
        these run: its turn comes when they are done.
        """
        if not rows:
            return []
        ranked = sorted(((self.rank(row, now_s), row) for row in rows), key=lambda pair: pair[0])
        suspect = _suspect([row for _, row in ranked])
        if suspect is not None:
            return [suspect]
        if _waits_for_others(ranked[0][1]):
            ranked = [pair for pair in ranked if pair[1].has_begun]
        ranked = [pair for pair in ranked if not _waits_for_others(pair[1])]
        (its_class, has_time, *_), first = ranked[0]
        if first.is_alone or self.max_rows == 1:
            return [first]
        company = [row for rank, row in ranked if rank[:2] == (its_class, has_time) and not row.is_alone]
        return self._pack(company, len(rows), pack_s)

    def _pack(self, company: Sequence[Candidate], num_rows: int, pack_s: PackSeconds) -> list[Candidate]:
        """Of rows in their order, of num_rows that are here, the first and those whose company pays."""
        picked, seconds, refused = [company[0]], pack_s([company[0].shape]), set[Shape]()
        for place, row in enumerate(company[1:], start=1):
            if len(picked) == self.max_rows or seconds is None:
                break
            if row.shape.network != picked[0].shape.network or row.shape in refused:
                continue
            alone_s, together_s = pack_s([row.shape]), pack_s([*(one.shape for one in picked), row.shape])
            if together_s is None:  # worth a try: it is how costs are learnt
                return [*picked, row]
            if self._pays(together_s - seconds, alone_s or 0.0, num_before=place, num_after=num_rows - place):
                picked.append(row)
                seconds, refused = together_s, set[Shape]()
            else:
                refused.add(row.shape)  # what does not pay here pays even less further back
        return picked

    def _pays(self, delay_s: float, alone_s: float, num_before: int, num_after: int) -> bool:
        """Whether a row should join: its step costs alone_s alone and delays the rows before it by delay_s in company."""
        return num_before * delay_s < (num_after + self.newcomers) * (alone_s - delay_s)

    def room(self, rows: Sequence[Candidate]) -> int:
        """Rows that may be claimed whatever they are."""
        return max(0, self.window - len(rows))

    def opening(self, rows: Sequence[Candidate], now_s: float) -> Opening | None:
        """What may enter a full window: whatever is sure to stand before the row that would leave for it, or, if every row
        has begun, before the last of them. None while there is room."""
        if self.room(rows):
            return None
        leaver = max(_unstarted(rows) or rows, key=lambda row: self._place(row, now_s))
        return Opening(self._class(leaver, now_s), self._place(leaver, now_s)[1])

    def surplus(self, rows: Sequence[Candidate], now_s: float) -> list[RowKey]:
        """The unstarted rows, last first, that leave for the window to shrink to its size. The first of them always stays:
        it is what the window was opened for."""
        leavers = sorted(_unstarted(rows), key=lambda row: self._place(row, now_s), reverse=True)[:-1]
        return [row.key for row in leavers[: max(0, len(rows) - self.window)]]

    def _place(self, row: Candidate, now_s: float) -> tuple[int, float, float, RowKey]:
        """Order in the window. The queue's seconds are not this machine's: waiting counts at their rate, alike on every machine."""
        rate = row.expected_left_s / row.work_left_s if row.work_left_s > 0 else 1.0
        left_s = row.expected_left_s - rate * self._credit_s(row, now_s)
        return (self._class(row, now_s), left_s, row.arrived_at_s, row.key)

    def _class(self, row: Candidate, now_s: float) -> int:
        """The class that a row has by now: what was taken from the queue in a quiet moment must not wait for the end of a flood."""
        return max(0, row.priority - int(max(0.0, now_s - row.arrived_at_s) / self.class_ageing_s))

    def _credit_s(self, row: Candidate, now_s: float) -> float:
        """Seconds of work that a row is spared for having waited."""
        return self.ageing * max(0.0, now_s - row.arrived_at_s)

    def _is_pressing(self, row: Candidate, now_s: float) -> bool:
        time_left_s = row.deadline_at_s - now_s
        return row.work_left_s <= time_left_s < self.deadline_margin * row.work_left_s


def _suspect(ranked: Sequence[Candidate]) -> Candidate | None:
    """The suspect that runs now, if one does: the one that has begun, or the most urgent row if none has."""
    begun = [row for row in ranked if row.has_begun]
    now = begun[0] if len(begun) == 1 else ranked[0]
    return now if now.is_suspect and begun in ([], [now]) else None


def _waits_for_others(row: Candidate) -> bool:
    return row.is_suspect or not row.has_room


def _unstarted(rows: Sequence[Candidate]) -> list[Candidate]:
    return [row for row in rows if not row.has_begun]
