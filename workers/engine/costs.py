"""Costs: seconds a denoise step takes, measured while serving, by (shape, number of rows), and how many rows pay off.

It is told what every step took and answers from the median of the latest, so one slow step (a cold cache, a busy machine)
does not move it.
"""

from collections import OrderedDict, deque
from statistics import median

from workers.engine.row import Shape

NUM_SAMPLES = 15
MAX_ENTRIES = 4096
MIN_GAIN = 0.03
"""One row more must make a row at least this much cheaper, or the group stays as it is."""
MIN_SAMPLES = 3
"""Steps measured at a group size before a larger one is tried."""


class Costs:
    """Measured seconds a step. Bounded: the shapes that were not run for longest are forgotten."""

    def __init__(self) -> None:
        self._samples: OrderedDict[tuple[Shape, int], deque[float]] = OrderedDict()

    def observe(self, shape: Shape, num_rows: int, seconds: float) -> None:
        """Remember that one step of num_rows rows of this shape took so long."""
        entry = (shape, num_rows)
        self._samples.setdefault(entry, deque(maxlen=NUM_SAMPLES)).append(seconds)
        self._samples.move_to_end(entry)
        if len(self._samples) > MAX_ENTRIES:
            self._samples.popitem(last=False)

    def measured_s(self, shape: Shape, num_rows: int = 1) -> float | None:
        """Median seconds of a step, or None if it was never run."""
        samples = self._samples.get((shape, num_rows))
        return median(samples) if samples else None

    def step_s(self, shape: Shape, prior_s: float) -> float:
        """Seconds of a step run alone: measured, else scaled from the nearest measured size of the network, else prior_s."""
        measured = self.measured_s(shape)
        if measured is not None:
            return measured
        known = [other for other, num_rows in self._samples if other.network == shape.network and num_rows == 1]
        if not known:
            return prior_s
        nearest = min(known, key=lambda other: abs(other.work - shape.work))
        return median(self._samples[nearest, 1]) * shape.work / nearest.work

    def best_rows(self, shape: Shape, limit: int) -> int:
        """How many rows of this shape to run together: grown one by one for as long as a row gets cheaper by it."""
        num_rows = 1
        while num_rows < limit:
            here, above = self._samples.get((shape, num_rows)), self._samples.get((shape, num_rows + 1))
            if here is None or len(here) < MIN_SAMPLES:
                return num_rows
            if above is None or len(above) < MIN_SAMPLES:
                return num_rows + 1
            if median(above) / (num_rows + 1) > (1 - MIN_GAIN) * median(here) / num_rows:
                return num_rows
            num_rows += 1
        return num_rows
