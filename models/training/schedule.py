"""How far a run has come and how large its learning rate is there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """The end of a run: a number of steps, a number of seconds, or whichever comes first.

    Attributes:
        num_steps: optimiser steps, or None.
        seconds: training time over all sessions of the run, or None.
    """

    num_steps: int | None = None
    seconds: float | None = None

    def progress(self, step: int, elapsed_s: float) -> float:
        """Return how much of the budget is spent, from 0 to 1."""
        by_steps = step / self.num_steps if self.num_steps else 0.0
        by_time = elapsed_s / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))


def learning_rate_factor(step: int, progress: float, *, warmup_steps: int, hold: float, floor: float = 0.02) -> float:
    """Return the factor on the peak rate: linear warm-up, a plateau until progress reaches hold, then linear decay.

    The decay follows the budget, so a run of fixed wall-clock time ends annealed however many steps it makes.
    """
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    left = 1.0 if progress <= hold else (1.0 - progress) / (1.0 - hold)
    return warm * max(floor, left)
