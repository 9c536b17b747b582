"""Samplers step by step against their published formulas, written out again in k-diffusion's coordinates: y = picture + sigma * noise.

The data are Gaussian, so the network is known exactly, and everything is float64.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from models.samplers import registry
from models.samplers.curves import karras
from models.samplers.grids import Ratios
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.sampler import Sampler
from models.samplers.spacing import linspace
from tests.models.samplers.gaussian import VARIANCE, states

SCHEDULE = Ratios(linspace, karras)(NoiseSchedule(), 12)
SIGMAS = [*(point.ratio for point in SCHEDULE.points), 0.0]
Draw = Callable[[], Tensor]
Reference = Callable[[Tensor, Draw], Iterator[Tensor]]


def picture(y: Tensor, sigma: float) -> Tensor:
    return VARIANCE / (VARIANCE + sigma**2) * y


def ancestral(sigma: float, following: float) -> tuple[float, float]:
    up = math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2)
    return math.sqrt(following**2 - up**2), up


def euler(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    for sigma, following in pairwise(SIGMAS):
        y = y + (following - sigma) * (y - picture(y, sigma)) / sigma
        yield y


def euler_ancestral(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    for sigma, following in pairwise(SIGMAS):
        down, up = ancestral(sigma, following)
        y = y + (down - sigma) * (y - picture(y, sigma)) / sigma + (up * draw() if up else 0)
        yield y


def ddpm(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    """The posterior of x, alpha_bar = 1 / (1 + sigma^2)."""
    for sigma, following in pairwise(SIGMAS):
        bar, next_bar = 1 / (1 + sigma**2), 1 / (1 + following**2)
        beta = 1 - bar / next_bar
        x = math.sqrt(next_bar) * beta / (1 - bar) * picture(y, sigma)
        x = x + math.sqrt(bar / next_bar) * (1 - next_bar) / (1 - bar) * y * math.sqrt(bar)
        deviation = math.sqrt((1 - next_bar) / (1 - bar) * beta)
        y = (x + (deviation * draw() if following else 0)) / math.sqrt(next_bar)
        yield y


def heun(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    for sigma, following in pairwise(SIGMAS):
        first = (y - picture(y, sigma)) / sigma
        there = y + (following - sigma) * first
        second = (there - picture(there, following)) / following if following else first
        y = y + (following - sigma) * (first + second) / 2
        yield y


def dpm2(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    for sigma, following in pairwise(SIGMAS):
        y = midpoint_step(y, sigma, following)
        yield y


def dpm2_ancestral(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    for sigma, following in pairwise(SIGMAS):
        down, up = ancestral(sigma, following)
        y = midpoint_step(y, sigma, down) + (up * draw() if up else 0)
        yield y


def midpoint_step(y: Tensor, sigma: float, following: float) -> Tensor:
    slope = (y - picture(y, sigma)) / sigma
    if following:
        middle = math.exp((math.log(sigma) + math.log(following)) / 2)
        there = y + (middle - sigma) * slope
        slope = (there - picture(there, middle)) / middle
    return y + (following - sigma) * slope


def lms(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    places, quadrature = (
        [(node + 1) / 2 for node in np.polynomial.legendre.leggauss(8)[0]],
        np.polynomial.legendre.leggauss(8)[1] / 2,
    )
    slopes: list[Tensor] = []
    for index, (sigma, following) in enumerate(pairwise(SIGMAS)):
        slopes = [(y - picture(y, sigma)) / sigma, *slopes][:4]
        nodes = [SIGMAS[index - back] for back in range(len(slopes))]
        for k, slope in enumerate(slopes):
            others = [node for node in nodes if node != nodes[k]]
            values = [
                math.prod((sigma + at * (following - sigma) - node) / (nodes[k] - node) for node in others)
                for at in places
            ]
            y = y + (following - sigma) * float(np.dot(quadrature, values)) * slope
        yield y


def two_s_ancestral(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    for sigma, following in pairwise(SIGMAS):
        down, up = ancestral(sigma, following)
        if not down:
            y = picture(y, sigma)
        else:
            middle = math.sqrt(sigma * down)
            there = middle / sigma * y + (1 - middle / sigma) * picture(y, sigma)
            y = down / sigma * y + (1 - down / sigma) * picture(there, middle) + up * draw()
        yield y


def sde(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    for sigma, following in pairwise(SIGMAS):
        if not following:
            y = picture(y, sigma)
        else:
            middle = math.sqrt(sigma * following)
            down, up = ancestral(sigma, middle)
            half = draw()
            there = down / sigma * y + (1 - down / sigma) * picture(y, sigma) + up * half
            down, up = ancestral(sigma, following)
            share = (sigma - middle) / (sigma - following)
            whole = math.sqrt(share) * half + math.sqrt(1 - share) * draw()
            y = down / sigma * y + (1 - down / sigma) * picture(there, middle) + up * whole
        yield y


def multistep(eta: float, is_heun: bool, order: int) -> Reference:
    def steps(y: Tensor, draw: Draw) -> Iterator[Tensor]:
        seen: list[Tensor] = []
        widths: list[float] = []
        for index, (sigma, following) in enumerate(pairwise(SIGMAS)):
            seen = [picture(y, sigma), *seen]
            if not following:
                yield seen[0]
                return
            widths = [math.log(sigma / following), *widths]
            reach = widths[0] * (1 + eta)
            phi_2 = math.expm1(-reach) / reach + 1
            y = math.exp(-reach) * y - math.expm1(-reach) * seen[0]
            if index >= 2 and order == 3 and index < 10:
                r0, r1 = widths[1] / widths[0], widths[2] / widths[0]
                d0, d1 = (seen[0] - seen[1]) / r0, (seen[1] - seen[2]) / r1
                y = y + phi_2 * (d0 + (d0 - d1) * r0 / (r0 + r1))
                y = y - (phi_2 / reach - 0.5) * (d0 - d1) / (r0 + r1)
            elif index:
                weight = phi_2 if is_heun else -math.expm1(-reach) / 2
                y = y + weight * (seen[0] - seen[1]) * widths[0] / widths[1]
            if eta:
                y = y + following * math.sqrt(-math.expm1(-2 * eta * widths[0])) * draw()
            yield y

    return steps


def unipc(y: Tensor, draw: Draw) -> Iterator[Tensor]:
    """Order 2 of the paper's B2: multistep prediction with weight 1/2, correction by solving for both weights."""
    begun, seen, widths = y, list[Tensor](), list[float]()
    for index, (sigma, following) in enumerate(pairwise(SIGMAS)):
        now = picture(y, sigma)
        if index:
            h, base = widths[0], SIGMAS[index] / SIGMAS[index - 1] * begun - math.expm1(-widths[0]) * seen[0]
            if index == 1:
                y = base - math.expm1(-h) * (now - seen[0]) / 2
            else:
                back = -widths[1] / h
                phi_1 = math.expm1(-h) / -h - 1
                phi_2 = phi_1 / -h - 0.5
                right = np.array([phi_1, 2 * phi_2]) / math.expm1(-h)
                earlier, later = np.linalg.solve(np.array([[1, 1], [back, 1]]), right)
                y = base - math.expm1(-h) * (earlier * (seen[1] - seen[0]) / back + later * (now - seen[0]))
        begun, seen = y, [now, *seen]
        if not following:
            yield now
            return
        widths = [math.log(sigma / following), *widths]
        y = following / sigma * y - math.expm1(-widths[0]) * now
        if index:
            y = y - math.expm1(-widths[0]) / 2 * (seen[0] - seen[1]) * widths[0] / widths[1]
        yield y


def steps_of(sampler: Sampler, start: Tensor) -> Sequence[Tensor]:
    """Our latents after each step, in the references' coordinates."""
    plan = sampler.plan(SCHEDULE)
    found = states(plan, start)
    ends = [index for index in range(len(plan)) if index + 1 == len(plan) or plan[index + 1].step != plan[index].step]
    return [found[index + 1].latents / SCHEDULE.ends[plan[index].step].alpha for index in ends]


@pytest.mark.parametrize(
    ("sampler", "reference"),
    [
        (registry.EULER, euler),
        (registry.DDIM, euler),
        (registry.EULER_ANCESTRAL, euler_ancestral),
        (registry.DDPM, ddpm),
        (registry.HEUN, heun),
        (registry.LMS, lms),
        (registry.DPM2, dpm2),
        (registry.DPM2_ANCESTRAL, dpm2_ancestral),
        (registry.DPMPP_2S_ANCESTRAL, two_s_ancestral),
        (registry.DPMPP_SDE, sde),
        (registry.DPMPP_2M, multistep(0, is_heun=False, order=2)),
        (registry.DPMPP_2M_SDE, multistep(1, is_heun=False, order=2)),
        (registry.DPMPP_2M_SDE_HEUN, multistep(1, is_heun=True, order=2)),
        (registry.DPMPP_3M, multistep(0, is_heun=False, order=3)),
        (registry.DPMPP_3M_SDE, multistep(1, is_heun=True, order=3)),
        (registry.UNIPC, unipc),
    ],
    ids=lambda value: value.name if isinstance(value, Sampler) else "",
)
def test_every_step_is_the_published_formula(sampler: Sampler, reference: Reference) -> None:
    start = torch.randn(16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    expected = reference(
        start / SCHEDULE.points[0].alpha, lambda: torch.randn(16, generator=generator, dtype=torch.float64)
    )
    for found, wanted in zip(steps_of(sampler, start), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-9, rtol=1e-9)
