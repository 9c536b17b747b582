"""DPM-Solver++, multistep: 2M, 3M and their stochastic forms (Lu et al. 2022, arXiv:2211.01095, algorithm 2 and section 5; 3M as in
k-diffusion's sample_dpmpp_3m_sde). One evaluation a step.

The picture D along a step is a polynomial in lambda through the last predictions. With eta, the share of noise that is drawn anew,
lambda runs 1 + eta times as far for D: eta = 0 is the probability flow, eta = 1 the reverse diffusion.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from models.samplers.exponential import length
from models.samplers.plan import DENOISED, LATENTS, NOISE, Evaluation, Mix, carried
from models.samplers.schedule import Schedule

FEW_STEPS = 15
"""Below it, the last steps are taken at lower order."""


def midpoint(reach: float) -> float:
    """Weight of D' when it is taken from the middle of a step."""
    return -math.expm1(-reach) / 2


def second_phi(reach: float) -> float:
    """Weight of D' when it is integrated exactly (`heun` in Diffusers)."""
    return 1.0 + math.expm1(-reach) / reach


def third_phi(reach: float) -> float:
    """Weight of D'', as published: it vanishes with the step.

    Diffusers' stochastic form has a sign wrong in it. With twice this weight the method would be of order 3, for the second divided
    difference is half of D''; with it the order is 2, with a smaller error. We keep the method that people know.
    """
    return 0.5 - (math.expm1(-reach) + reach) / reach**2


def multistep(
    schedule: Schedule, eta: float = 0.0, order: int = 2, second: Callable[[float], float] = midpoint
) -> Iterator[Evaluation]:
    """Steps of `order`, the first of them lower.

    Args:
        schedule: of diffusion or flow matching; from pure noise and to the picture a step is of first order, and one that goes
            nowhere, as the last of some folders, changes nothing.
        eta: share of fresh noise, in [0, 1].
        order: 1 to 3.
        second: weight of D' at order 2.
    """
    lengths: list[float] = []
    for index, (here, there) in enumerate(schedule.steps):
        lengths.append(length(here, there))
        if not lengths[-1]:
            yield Evaluation(here, index, LATENTS)
            continue
        reach, pictures = (1.0 + eta) * lengths[-1], [DENOISED, *map(carried, range(min(index, 2)))]
        degree = _order_at(schedule, index, order)
        remains = math.exp(-lengths[-1])
        latents = (there.sigma / here.sigma) * remains**eta * LATENTS
        latents = latents + there.alpha * _picture(pictures, lengths, reach, degree, second)
        if eta:
            latents = latents + there.sigma * (1.0 - remains ** (2 * eta)) ** 0.5 * NOISE
        yield Evaluation(here, index, latents, carries=tuple(pictures[: order - 1]))


def _order_at(schedule: Schedule, index: int, order: int) -> int:
    left, is_short = schedule.num_steps - index, schedule.num_asked < FEW_STEPS
    is_last = left == 1 and (is_short or not schedule.ends[-1].sigma)
    if is_last or math.isinf(schedule.points[index].log_snr):
        return 1
    return min(order, index + 1, 2 if left == 2 and is_short else order)


def _picture(
    pictures: Sequence[Mix], lengths: Sequence[float], reach: float, order: int, second: Callable[[float], float]
) -> Mix:
    """D0, D' and D'' by divided differences in lambda, each with its weight."""
    latest = -math.expm1(-reach) * pictures[0]
    if order == 1:
        return latest
    h, before = lengths[-1], lengths[-2]
    slope = (h / before) * (pictures[0] - pictures[1])
    if order == 2:
        return latest + second(reach) * slope
    earlier = lengths[-3]
    curvature = (slope - (h / earlier) * (pictures[1] - pictures[2])) * (h / (before + earlier))
    slope = slope + (before / (before + earlier)) * (slope - (h / earlier) * (pictures[1] - pictures[2]))
    return latest + second_phi(reach) * slope + third_phi(reach) * curvature
