"""Heun's method (Karras et al. 2022, arXiv:2206.00364, algorithm 1 without churn): slopes at both ends of a step, averaged."""

from collections.abc import Iterator

from models.samplers.lines import moved, slope
from models.samplers.plan import DENOISED, LATENTS, Evaluation, carried
from models.samplers.schedule import Schedule


def heun(schedule: Schedule) -> Iterator[Evaluation]:
    """Two evaluations a step; a step to the picture itself is Euler's, for nothing can be asked there."""
    for index, (here, there) in enumerate(schedule.steps):
        first = slope(LATENTS, DENOISED, here)
        if not there.sigma:
            yield Evaluation(here, index, moved(LATENTS, here, there, first))
            continue
        yield Evaluation(here, index, moved(LATENTS, here, there, first), carries=(LATENTS, first))
        average = (carried(1) + slope(LATENTS, DENOISED, there)) / 2
        yield Evaluation(there, index, moved(carried(0), here, there, average))
