"""DPM-Solver++ in single steps: 2S ancestral and SDE (k-diffusion's sample_dpmpp_2s_ancestral and sample_dpmpp_sde, after
Lu et al. 2022, arXiv:2211.01095, algorithm 1). Two evaluations a step: where it begins, and at its middle in lambda."""

import math
from collections.abc import Iterator

from models.samplers.ancestral import split, split_ratio
from models.samplers.exponential import length
from models.samplers.first_order import fresh_noise, renoised
from models.samplers.plan import DENOISED, LATENTS, NOISE, Evaluation, Mix, carried
from models.samplers.points import Point
from models.samplers.schedule import Schedule


def two_step_ancestral(schedule: Schedule, eta: float = 1.0) -> Iterator[Evaluation]:
    """2S a: the deterministic step of second order to a point of less noise, then fresh noise."""
    for index, (here, there) in enumerate(schedule.steps):
        down, up = split(here, there, eta)
        if length(here, there) in (0, math.inf) or not down:
            yield _first_order(here, there, index, eta)
            continue
        middle = schedule.space.at_log_snr((here.log_snr - math.log(down)) / 2)
        yield Evaluation(here, index, _to(LATENTS, DENOISED, here, middle), carries=(LATENTS,))
        latents = there.alpha * (_reached(carried(0), DENOISED, here, down) + up * NOISE)
        yield Evaluation(middle, index, latents)


def stochastic(schedule: Schedule, eta: float = 1.0) -> Iterator[Evaluation]:
    """SDE: both halves of a step draw noise. As parts of one Brownian motion in sigma / alpha, the noise of the whole step
    holds that of its first half."""
    for index, (here, there) in enumerate(schedule.steps):
        if length(here, there) in (0, math.inf):
            yield _first_order(here, there, index, eta)
            continue
        middle = schedule.space.at_log_snr((here.log_snr + there.log_snr) / 2)
        begin, half, end = (point.noise_to_picture for point in (here, middle, there))
        down, up = split_ratio(begin, half, eta)
        latents = middle.alpha * (_reached(LATENTS, DENOISED, here, down) + up * NOISE)
        yield Evaluation(here, index, latents, carries=(LATENTS, NOISE) if eta else (LATENTS,))
        down, up = split_ratio(begin, end, eta)
        share = (begin - half) / (begin - end)
        whole = (share**0.5) * carried(1) + ((1 - share) ** 0.5) * NOISE if eta else Mix(())
        latents = there.alpha * (_reached(carried(0), DENOISED, here, down) + up * whole)
        yield Evaluation(middle, index, latents)


def _first_order(here: Point, there: Point, index: int, eta: float) -> Evaluation:
    """From pure noise, to the picture or nowhere: lambda has no middle."""
    drawn = eta * fresh_noise(here, there)
    return Evaluation(here, index, renoised(LATENTS, DENOISED, here, there, drawn))


def _to(latents: Mix, denoised: Mix, here: Point, there: Point) -> Mix:
    return there.alpha * _reached(latents, denoised, here, there.noise_to_picture)


def _reached(latents: Mix, denoised: Mix, here: Point, ratio: float) -> Mix:
    """x / alpha where sigma / alpha is `ratio`, the picture unchanged on the way."""
    return (ratio / here.sigma) * latents + (1.0 - ratio / here.noise_to_picture) * denoised
