"""DEIS in its log-rho form (Zhang & Chen 2022, arXiv:2204.13902, section 3.3): the noise that the network sees is a polynomial in
ln(sigma / alpha) through the last predictions, and its integral is exact. One evaluation a step."""

import math
from collections.abc import Iterator

from numpy.polynomial import Polynomial

from models.samplers.adams import basis
from models.samplers.exponential import decayed
from models.samplers.first_order import noise_seen
from models.samplers.plan import DENOISED, LATENTS, Evaluation, carried, weighted
from models.samplers.schedule import Schedule

FEW_STEPS = 15
"""Below it, the last steps are taken at lower order."""


def deis(schedule: Schedule, order: int = 2) -> Iterator[Evaluation]:
    """Steps of `order`, lower at both ends; from pure noise and to the picture of first order.

    Args:
        schedule: of diffusion or flow matching.
        order: 1 to 3.
    """
    for index, (here, there) in enumerate(schedule.steps):
        degree = _order_at(schedule, index, order)
        noises = [noise_seen(LATENTS, DENOISED, here), *map(carried, range(min(index, order - 1)))]
        latents = decayed(LATENTS, DENOISED, here, there)
        if degree > 1:
            ratios = [schedule.points[index - back].noise_to_picture for back in range(degree)]
            logs = [math.log(ratio) for ratio in ratios]
            weights = [_integral(basis(logs, k), logs[0], there.noise_to_picture) for k in range(degree)]
            latents = there.alpha * (LATENTS / here.alpha + weighted(weights, noises[:degree]))
        yield Evaluation(here, index, latents, carries=tuple(noises[: order - 1]))


def _order_at(schedule: Schedule, index: int, order: int) -> int:
    left = schedule.num_steps - index
    if not schedule.ends[index].sigma:
        return 1
    seen = sum(point.alpha > 0 for point in schedule.points[: index + 1])
    return max(1, min(order, seen, left if schedule.num_asked < FEW_STEPS else order))


def _integral(polynomial: Polynomial, log_begin: float, end: float) -> float:
    """The integral of polynomial(ln r) over r: with u = ln r that of p(u) e^u, whose primitive is (p - p' + p'' - ...) e^u."""
    primitive, term = polynomial, polynomial
    for _ in range(polynomial.degree()):
        term = -1.0 * term.deriv()
        primitive = primitive + term
    return float(primitive(math.log(end)) * end - primitive(log_begin) * math.exp(log_begin))
