"""DPM-Solver-2 in k-diffusion's form: the slope in the middle of a step carries over all of it (Karras et al. 2022,
arXiv:2206.00364, algorithm 2, with the middle taken in ln sigma as Lu et al. 2022, arXiv:2206.00927, do)."""

from collections.abc import Iterator

from models.samplers.ancestral import split
from models.samplers.lines import moved, slope
from models.samplers.plan import DENOISED, LATENTS, NOISE, Evaluation, carried
from models.samplers.schedule import Schedule


def dpm2(schedule: Schedule) -> Iterator[Evaluation]:
    """Two evaluations a step; a step to the picture itself is Euler's."""
    for index, (here, there) in enumerate(schedule.steps):
        first = slope(LATENTS, DENOISED, here)
        if not there.sigma:
            yield Evaluation(here, index, moved(LATENTS, here, there, first))
            continue
        middle = schedule.space.at_ratio((here.ratio * there.ratio) ** 0.5)
        yield Evaluation(here, index, moved(LATENTS, here, middle, first), carries=(LATENTS,))
        yield Evaluation(middle, index, moved(carried(0), here, there, slope(LATENTS, DENOISED, middle)))


def dpm2_ancestral(schedule: Schedule, eta: float = 1.0) -> Iterator[Evaluation]:
    """dpm2 to a point of less noise, then fresh noise up to where the step ends. The last step is Euler's."""
    space = schedule.space
    for index, (here, there) in enumerate(schedule.steps):
        down, up = split(here, there, eta)
        first = slope(LATENTS, DENOISED, here)
        if not down:
            yield Evaluation(here, index, moved(LATENTS, here, there, first))
            continue
        middle, lower = space.at_ratio((here.ratio * down) ** 0.5), space.at_ratio(down)
        yield Evaluation(here, index, moved(LATENTS, here, middle, first), carries=(LATENTS,))
        reached = moved(carried(0), here, lower, slope(LATENTS, DENOISED, middle))
        latents = there.scale * (reached / lower.scale + up * NOISE)
        yield Evaluation(middle, index, latents)
