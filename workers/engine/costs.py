"""Costs: seconds that steps take, measured while serving, and what a step of several rows together would take.

It answers from the median of the latest measurements, so one slow step (a cold cache, a busy machine) does not move it. A shape
alone is measured as it is; rows together are measured against the sum of what each of them takes alone, for packs of a kind.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Generic, NamedTuple, TypeVar

from workers.engine.row import Shape

NUM_SAMPLES = 15
MAX_ENTRIES = 4096
MIN_SAMPLES = 3
"""Measurements that make an answer; until then it is tried."""
TRY_AGAIN_AFTER = 5000
"""Steps after which a pack that was not run is tried again: it may have been measured in a bad moment."""
FORBIDDEN_FOR = 1000
"""Steps for which a pack that did not fit into memory is not put together; twice as many after each further time in a row."""
LONGEST_FORBIDDEN_FOR = 64_000

Key = TypeVar("Key")


class PackKind(NamedTuple):
    """Packs that cost alike, for their rows: the same largest shape, as many rows, about as much work."""

    largest: Shape
    num_rows: int
    fill: int
    """Work of all rows in units of the largest one's."""

    @staticmethod
    def of(shapes: Sequence[Shape]) -> "PackKind":
        """The kind of this pack."""
        largest = max(shapes, key=lambda shape: (shape.work, shape))
        return PackKind(largest, len(shapes), round(sum(shape.work for shape in shapes) / largest.work))


class _Ban(NamedTuple):
    """A pack that did not fit into memory, for so many steps, until this one."""

    num_steps: int
    until_step: int


@dataclass(slots=True)
class _Measured:
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=NUM_SAMPLES))
    median: float = 0.0
    at_step: int = 0

    def add(self, value: float, at_step: int) -> None:
        self.samples.append(value)
        self.median, self.at_step = median(self.samples), at_step


class _Table(Generic[Key]):
    """Medians by key; the keys that were not measured for longest are forgotten."""

    def __init__(self) -> None:
        self.entries: OrderedDict[Key, _Measured] = OrderedDict()

    def add(self, key: Key, value: float, at_step: int) -> None:
        self.entries.setdefault(key, _Measured()).add(value, at_step)
        self.entries.move_to_end(key)
        if len(self.entries) > MAX_ENTRIES:
            self.entries.popitem(last=False)


class Costs:
    """What is known about the seconds of a step, of a start and of an end."""

    def __init__(self) -> None:
        self._alone_s: _Table[Shape] = _Table()
        self._ends_s: _Table[Shape] = _Table()
        self._ratios: _Table[PackKind] = _Table()
        self._bans: dict[PackKind, _Ban] = {}
        self._num_steps = 0

    def observe(self, shapes: Sequence[Shape], seconds: float) -> None:
        """Remember that one step of rows of these shapes, together, took so long."""
        self._num_steps += 1
        if len(shapes) == 1:
            self._alone_s.add(shapes[0], seconds, self._num_steps)
            return
        kind, alone_s = PackKind.of(shapes), [self._measured_s(shape) for shape in shapes]
        self._bans.pop(kind, None)
        if None not in alone_s:
            self._ratios.add(kind, seconds / sum(filter(None, alone_s)), self._num_steps)

    def forbid(self, shapes: Sequence[Shape]) -> None:
        """Remember that a pack of this kind, and so any larger one, does not fit into memory for now.

        It may again once other rows or processes have gone: after FORBIDDEN_FOR steps it costs what it was measured to cost. If it
        still does not fit then, it waits twice as long, at most LONGEST_FORBIDDEN_FOR; once it did fit, nothing of this is left.
        """
        kind = PackKind.of(shapes)
        earlier = self._bans.get(kind)
        num_steps = FORBIDDEN_FOR if earlier is None else min(2 * earlier.num_steps, LONGEST_FORBIDDEN_FOR)
        self._bans[kind] = _Ban(num_steps, self._num_steps + num_steps)

    def observe_end(self, shape: Shape, seconds: float) -> None:
        """Remember that turning the latents of such a row into a picture took so long."""
        self._ends_s.add(shape, seconds, self._num_steps)

    def step_s(self, shape: Shape, prior_s: float) -> float:
        """Seconds of a step run alone: measured, else scaled from the nearest measured size of the network, else prior_s."""
        measured = self._measured_s(shape)
        if measured is not None:
            return measured
        known = [other for other in self._alone_s.entries if other.network == shape.network]
        if not known:
            return prior_s
        nearest = min(known, key=lambda other: abs(other.work - shape.work))
        return self._alone_s.entries[nearest].median * shape.work / nearest.work

    def end_s(self, shape: Shape) -> float:
        """Seconds from a row's last step to its picture; 0 while unknown."""
        measured = self._ends_s.entries.get(shape)
        return measured.median if measured else 0.0

    def pack_s(self, shapes: Sequence[Shape]) -> float | None:
        """Seconds of one step of these rows together; None if that has to be tried first.

        Infinite while one of the shapes was never measured alone, for there is nothing yet to compare with, and while such a pack
        or a smaller one of its kind is forbidden.
        """
        alone_s = [self._settled_s(shape) for shape in shapes]
        if None in alone_s:
            return float("inf")
        total_s = sum(filter(None, alone_s))
        if len(shapes) == 1:
            return total_s
        kind = PackKind.of(shapes)
        if self._is_forbidden(kind):
            return float("inf")
        ratio = self._ratios.entries.get(kind)
        if ratio is None or len(ratio.samples) < MIN_SAMPLES or self._num_steps - ratio.at_step > TRY_AGAIN_AFTER:
            return None
        return ratio.median * total_s

    def _is_forbidden(self, kind: PackKind) -> bool:
        return any(
            self._num_steps < ban.until_step
            and one.largest == kind.largest
            and one.num_rows <= kind.num_rows
            and one.fill <= kind.fill
            for one, ban in self._bans.items()
        )

    def _measured_s(self, shape: Shape) -> float | None:
        measured = self._alone_s.entries.get(shape)
        return measured.median if measured else None

    def _settled_s(self, shape: Shape) -> float | None:
        measured = self._alone_s.entries.get(shape)
        return measured.median if measured and len(measured.samples) >= MIN_SAMPLES else None
