"""Linear multistep methods (Adams and Bashforth): a step follows the polynomial through the last slopes. One evaluation a step."""

from collections.abc import Iterator, Sequence

from numpy.polynomial import Polynomial

from models.errors import UnsupportedSampler
from models.samplers.first_order import noise_seen
from models.samplers.lines import slope
from models.samplers.plan import DENOISED, LATENTS, Evaluation, Mix, carried, weighted
from models.samplers.points import Point
from models.samplers.schedule import Schedule

LMS_ORDER = 4
PLMS_WEIGHTS = ((1.0,), (1.5, -0.5), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""For slopes at even distances, newest first (Liu et al. 2022, arXiv:2202.09778, eq. 12)."""


def lms(schedule: Schedule) -> Iterator[Evaluation]:
    """Of order 4 in the straight-line coordinates of Karras et al. (k-diffusion's sample_lms).

    A run from a picture weighs its first slopes as if it had those of the steps that it leaves out, as Diffusers does.
    """
    passed = [*(here.ratio for here, _ in schedule.skipped), *(point.ratio for point in schedule.points)]
    for index, (here, there) in enumerate(schedule.steps):
        place = len(schedule.skipped) + index
        slopes = [slope(LATENTS, DENOISED, here), *map(carried, range(min(index, LMS_ORDER - 1)))]
        ratios = [passed[place - back] for back in range(min(place, LMS_ORDER - 1) + 1)]
        weights = [_integral(basis(ratios, k), here.ratio, there.ratio) for k in range(len(slopes))]
        latents = there.scale * (LATENTS / here.scale + weighted(weights, slopes))
        yield Evaluation(here, index, latents, carries=tuple(slopes[: LMS_ORDER - 1]))


def plms(schedule: Schedule) -> Iterator[Evaluation]:
    """Pseudo linear multistep (Liu et al. 2022, arXiv:2202.09778): the last predicted noises, averaged, in DDIM's step.

    Steps have to be even. The first takes two evaluations: it is done again with the average of the noises at both of its ends. A run
    from a picture begins where so many of the evaluations are left, as Diffusers has it: one step early where it leaves out two steps
    or more, and its second evaluation is still the one that repeats the first.

    Raises:
        UnsupportedSampler: the schedule begins with pure noise, of which the predicted noise says nothing.
    """
    looks = _looks([*schedule.skipped, *schedule.steps])[len(schedule.skipped) :]
    if not looks[0][0].alpha:
        raise UnsupportedSampler("plms: a schedule that begins with pure noise (zero terminal SNR) does not fit")
    for index, (here, there) in enumerate(looks):
        seen = noise_seen(LATENTS, DENOISED, here)
        if index == 1:
            average = (seen + carried(0)) / 2
            yield Evaluation(here, 0, ddim_step(carried(1), average, _before(schedule, here), here), (carried(0),))
            continue
        noises = [seen, *map(carried, range(min(max(index - 1, 0), 3)))]
        mean = weighted(PLMS_WEIGHTS[len(noises) - 1], noises)
        keeps = (seen, LATENTS) if index == 0 else tuple(noises[:3])
        yield Evaluation(here, max(index - 1, 0), ddim_step(LATENTS, mean, here, there), keeps)


def _looks(steps: Sequence[tuple[Point, Point]]) -> list[tuple[Point, Point]]:
    """Where the network looks, and to where it goes from there: the second step's begin is looked at twice."""
    return [*steps[:2], *steps[1:]]


def _before(schedule: Schedule, here: Point) -> Point:
    """One stride above a point."""
    first, second = [*schedule.skipped, *schedule.steps][0]
    return schedule.space.at_time(here.time + first.time - second.time)


def ddim_step(latents: Mix, noise: Mix, here: Point, there: Point) -> Mix:
    """DDIM's step with this noise (Song et al. 2020, arXiv:2010.02502, eq. 12); `here` holds some picture."""
    return there.alpha * ((latents - here.sigma * noise) / here.alpha) + there.sigma * noise


def basis(places: Sequence[float], which: int) -> Polynomial:
    """Lagrange's polynomial that is 1 at places[which] and 0 at the others."""
    product = Polynomial([1.0])
    for place in (*places[:which], *places[which + 1 :]):
        product = product * Polynomial([-place, 1.0]) / (places[which] - place)
    return product


def _integral(polynomial: Polynomial, begin: float, end: float) -> float:
    primitive = polynomial.integ()
    return float(primitive(end) - primitive(begin))
