"""Samplers over whole training steps, and DEIS, step by step against their published formulas, and how fast they converge.

The data are Gaussian, so the network is known exactly, and everything is float64. x is what the network sees, of unit variance.
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
from models.samplers.grids import End, Ratios, TrainingSteps
from models.samplers.methods import DISTILLED, JUMPS, STRIDES
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.plan import State, advance, begin
from models.samplers.points import Point
from models.samplers.sampler import Sampler
from models.samplers.schedule import Schedule, through
from models.samplers.spacing import leading, linspace
from tests.models.samplers.gaussian import VARIANCE, error, spread, states

TRAINING = NoiseSchedule()
BARS = TRAINING.alpha_bars
NUM_STEPS, STRIDE = 8, 1000 // 8
Draw = Callable[[], Tensor]
Reference = Callable[[Tensor, Draw], Iterator[Tensor]]


def bar_at(time: int) -> float:
    """Share of the picture's variance after a training step; before all of them that of the first, as these samplers end there."""
    return float(BARS[max(time, 0)])


def noise_of(x: Tensor, time: int) -> Tensor:
    """The noise that the ideal network sees."""
    bar = bar_at(time)
    picture = math.sqrt(bar) * VARIANCE / (bar * VARIANCE + 1 - bar) * x
    return (x - math.sqrt(bar) * picture) / math.sqrt(1 - bar)


def transferred(x: Tensor, noise: Tensor, time: int, following: int) -> Tensor:
    """Liu et al. 2022, eq. 11."""
    bar, next_bar = bar_at(time), bar_at(following)
    root, next_root = math.sqrt(bar), math.sqrt(next_bar)
    below = root * (math.sqrt((1 - next_bar) * bar) + math.sqrt((1 - bar) * next_bar))
    return next_root / root * x - (next_bar - bar) / below * noise


def ddim(x: Tensor, draw: Draw) -> Iterator[Tensor]:
    for time in times():
        x = transferred(x, noise_of(x, time), time, time - STRIDE)
        yield x


def plms(x: Tensor, draw: Draw) -> Iterator[Tensor]:
    """Its first step as Diffusers begins: with the average of the noises at both ends, of the same latents."""
    seen: list[Tensor] = []
    weights = {2: (3, -1), 3: (23, -16, 5), 4: (55, -59, 37, -9)}
    for index, time in enumerate(times()):
        seen = [noise_of(x, time), *seen][:4]
        if index == 0:
            there = transferred(x, seen[0], time, time - STRIDE)
            mean = (seen[0] + noise_of(there, time - STRIDE)) / 2
        else:
            chosen = weights[len(seen)]
            mean = torch.stack([weight * one for weight, one in zip(chosen, seen, strict=True)]).sum(0) / sum(chosen)
        x = transferred(x, mean, time, time - STRIDE)
        yield x


def lcm(x: Tensor, draw: Draw) -> Iterator[Tensor]:
    left = distilled()
    for time, following in zip(left, [*left[1:], None], strict=True):
        bar, scaled = bar_at(time), 10.0 * time
        picture = (x - math.sqrt(1 - bar) * noise_of(x, time)) / math.sqrt(bar)
        x = scaled / math.sqrt(scaled**2 + 0.25) * picture + 0.25 / (scaled**2 + 0.25) * x
        if following is not None:
            x = math.sqrt(bar_at(following)) * x + math.sqrt(1 - bar_at(following)) * draw()
        yield x


def tcd(x: Tensor, draw: Draw) -> Iterator[Tensor]:
    for time, following in pairwise([*distilled(), 0]):
        noise, lower = noise_of(x, time), math.floor(0.7 * following)
        picture = (x - math.sqrt(1 - bar_at(time)) * noise) / math.sqrt(bar_at(time))
        x = math.sqrt(bar_at(lower)) * picture + math.sqrt(1 - bar_at(lower)) * noise
        if following:
            kept = bar_at(following) / bar_at(lower)
            x = math.sqrt(kept) * x + math.sqrt(1 - kept) * draw()
        yield x


def deis(x: Tensor, draw: Draw) -> Iterator[Tensor]:
    """The noise as a line in ln(sigma / alpha) through the last two, integrated over sigma / alpha numerically."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    points = DEIS_SCHEDULE.points
    seen: list[Tensor] = []
    for index, (here, there) in enumerate(DEIS_SCHEDULE.steps):
        picture = here.alpha * VARIANCE / (here.alpha**2 * VARIANCE + here.sigma**2) * x
        seen = [(x - here.alpha * picture) / here.sigma, *seen][:2]
        begin_at, end_at = here.ratio, there.ratio
        moved = torch.zeros_like(x)
        for node, weight in zip(nodes, weights, strict=True):
            at = begin_at + (node + 1) / 2 * (end_at - begin_at)
            share = 0.0
            if 0 < index < len(points) - 1:
                before = points[index - 1].ratio
                share = math.log(at / begin_at) / math.log(before / begin_at)
            line = (1 - share) * seen[0] + share * seen[-1]
            moved = moved + (end_at - begin_at) / 2 * weight * line
        x = there.alpha * (x / here.alpha + moved)
        yield x


def times() -> list[int]:
    return [int(time) for time in leading(NUM_STEPS, 1000, offset=1)]


def distilled() -> list[int]:
    return [int(point.time) for point in DISTILLED["lcm"](TRAINING, NUM_STEPS).points]


DEIS_SCHEDULE = Ratios(linspace, karras, end=End.LEAST_NOISE)(TRAINING, 20).later(0)
CASES: list[tuple[Sampler, Schedule, Reference]] = [
    (registry.DDIM, STRIDES["ddim_uniform"](TRAINING, NUM_STEPS), ddim),
    (registry.PLMS, STRIDES["ddim_uniform"](TRAINING, NUM_STEPS), plms),
    (registry.LCM, DISTILLED["lcm"](TRAINING, NUM_STEPS), lcm),
    (registry.TCD, JUMPS["lcm"](TRAINING, NUM_STEPS), tcd),
]


@pytest.mark.parametrize(("sampler", "schedule", "reference"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_every_step_is_the_published_formula(sampler: Sampler, schedule: Schedule, reference: Reference) -> None:
    start = torch.randn(16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    plan = sampler.plan(schedule)
    found = states(plan, start)
    ends = [index for index in range(len(plan)) if index + 1 == len(plan) or plan[index + 1].step != plan[index].step]
    expected = list(reference(start, lambda: torch.randn(16, generator=generator, dtype=torch.float64)))
    assert len(ends) == len(expected) == NUM_STEPS
    for index, wanted in zip(ends, expected, strict=True):
        torch.testing.assert_close(found[index + 1].latents, wanted, atol=1e-9, rtol=1e-9)


def test_deis_is_its_integral() -> None:
    """Where steps are many; the last one ends at the least noise, which Karras levels repeat, so it is none."""
    start = torch.randn(16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = states(registry.DEIS.plan(DEIS_SCHEDULE), start)[1:-1]
    for state, wanted in zip(found, deis(start, lambda: start), strict=False):
        torch.testing.assert_close(state.latents, wanted, atol=1e-9, rtol=1e-9)


def fine(num_train_steps: int) -> NoiseSchedule:
    """The same noise over more training steps, so that strides are fine."""
    finer = num_train_steps / 1000
    return NoiseSchedule(beta_start=0.00085 / finer, beta_end=0.012 / finer, num_train_steps=num_train_steps)


def order(errors: Sequence[float]) -> float:
    return math.log2(errors[0] / errors[1])


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [(registry.DDIM, 1), (registry.TCD, 1), (registry.PLMS, 2)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_strides_converge(sampler: Sampler, expected: int) -> None:
    """Down to a quarter of training: nearer to the picture the noise is not smooth in time, whatever the order."""
    errors: list[float] = []
    for num in (40, 80):
        whole = TrainingSteps(leading, End.LEAST_NOISE)(fine(32000), num)
        points = whole.points[: num * 3 // 4 + 1]
        schedule = through(points[:-1], points[-1], whole.space)
        errors.append(error(sampler.plan(schedule, None if sampler.eta is None else 0.0), schedule))
    assert sampler.order == expected
    assert order(errors) > expected - 0.35, errors


def consistent(at: Point, latents: Tensor) -> Tensor:
    """What a consistency network says of Gaussian data: the picture at the end of the exact way."""
    return VARIANCE**0.5 / spread(at) * latents


@pytest.mark.parametrize("num_steps", [1, 4, 16])
def test_lcm_with_a_consistency_network_is_exact_for_any_number_of_steps(num_steps: int) -> None:
    """That is its order: the spread of pictures is right after one step and after many."""
    schedule = DISTILLED["lcm"](TRAINING, num_steps)
    start = spread(schedule.points[0]) * torch.randn(
        200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    state: State = begin(start, torch.Generator().manual_seed(2), torch.float64)
    for evaluation in registry.LCM.plan(schedule):
        state = advance(evaluation, state, consistent(evaluation.at, state.latents))
    assert float(state.latents.std()) == pytest.approx(VARIANCE**0.5, rel=5e-3)
