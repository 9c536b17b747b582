"""Timing by turns: other work on the machine then slows all sides alike, and ratios of one round stay true."""

import statistics
import time
from collections.abc import Callable, Mapping

Seconds = dict[str, list[float]]


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""What passes, and what this process computes in it: on a busy machine only the second says how much work it is."""


def by_turns(
    sides: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> Seconds:
    """Seconds of every side in every round; the order turns around each time. One round before them is not counted."""
    seconds: Seconds = {name: [] for name in sides}
    for turn in range(rounds + 1):
        names = list(sides) if turn % 2 else list(sides)[::-1]
        for name in names:
            started = clock()
            sides[name]()
            if turn:
                seconds[name].append(clock() - started)
    return seconds


def ratio(seconds: Seconds, slow: str, fast: str) -> float:
    """How many times as fast `fast` is: the median over the rounds."""
    return statistics.median(one / other for one, other in zip(seconds[slow], seconds[fast], strict=True))


def spread(seconds: Seconds, slow: str, fast: str) -> str:
    """The middle half of the rounds' ratios."""
    ratios = sorted(one / other for one, other in zip(seconds[slow], seconds[fast], strict=True))
    return f"{ratios[len(ratios) // 4]:.2f}-{ratios[-1 - len(ratios) // 4]:.2f}"


def median_ms(seconds: Seconds, name: str) -> float:
    """Milliseconds of a side."""
    return 1000 * statistics.median(seconds[name])
