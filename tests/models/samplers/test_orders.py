"""How fast each sampler's error vanishes with the number of steps, on Gaussian data, whose exact way is known.

Stochastic samplers reach the right distribution: on Gaussian data the latents are a weighted sum of all noise drawn, so their variance is
computed, not sampled.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.samplers import registry
from models.samplers.curves import karras
from models.samplers.grids import Ratios
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.plan import Mix, Plan
from models.samplers.sampler import Sampler
from models.samplers.schedule import Schedule, flow_schedule, through
from models.samplers.spacing import linspace
from tests.models.samplers.gaussian import VARIANCE, error, spread

TRAINING = NoiseSchedule()


def diffusion(num_steps: int) -> Schedule:
    """From the most noise of training to the least, without the step to the picture, whose order is 1."""
    points = Ratios(linspace, karras)(TRAINING, num_steps + 1).points
    return through(points[:-1], points[-1], TRAINING)


def flow(num_steps: int) -> Schedule:
    times = torch.linspace(0.98, 0.02, num_steps + 1, dtype=torch.float64)
    return flow_schedule(times)


def order(errors: Sequence[float]) -> float:
    """Halvings of the error when the steps are doubled."""
    return math.log2(errors[0] / errors[1])


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (registry.EULER, 1),
        (registry.DDIM, 1),
        (registry.HEUN, 2),
        (registry.DPM2, 2),
        (registry.LMS, 4),
        (registry.DPMPP_2M, 2),
        (registry.DPMPP_3M, 2),
        (registry.UNIPC, 3),
        (registry.DEIS, 2),
    ],
    ids=lambda value: value.name if isinstance(value, Sampler) else "",
)
def test_deterministic_samplers_converge_with_their_order(sampler: Sampler, expected: int) -> None:
    errors = [error(sampler.plan(diffusion(num)), diffusion(num)) for num in (80, 160)]
    assert sampler.order == expected
    assert errors[1] < 3e-2 / expected**2
    assert order(errors) > expected - 0.35


@pytest.mark.parametrize(
    "sampler",
    [
        registry.DPM2_ANCESTRAL,
        registry.DPMPP_2S_ANCESTRAL,
        registry.DPMPP_2M_SDE,
        registry.DPMPP_3M_SDE,
        registry.DPMPP_SDE,
    ],
    ids=lambda value: value.name,
)
def test_without_noise_stochastic_samplers_converge_as_their_deterministic_kin(sampler: Sampler) -> None:
    errors = [error(sampler.plan(diffusion(num), 0.0), diffusion(num)) for num in (80, 160)]
    assert order(errors) > sampler.order - 0.35


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (registry.EULER, 1),
        (registry.HEUN, 2),
        (registry.DPM2, 2),
        (registry.LMS, 2),
        (registry.DPMPP_2M, 2),
        (registry.DPMPP_3M, 2),
        (registry.UNIPC, 3),
        (registry.DEIS, 2),
    ],
    ids=lambda value: value.name if isinstance(value, Sampler) else "",
)
def test_flow_matching_converges_as_diffusion_does(sampler: Sampler, expected: float) -> None:
    """But LMS: its first steps, of lower order, count here; diffusion's first steps change little."""
    errors = [error(sampler.plan(flow(num)), flow(num)) for num in (40, 80)]
    assert order(errors) > expected - 0.35


def deviation(plan: Plan, schedule: Schedule) -> float:
    """Standard deviation of the latents at the end, when they begin with what belongs to the first point."""
    num = 1 + sum(evaluation.draws for evaluation in plan)
    latents, carried, drawn = np.eye(num)[0] * spread(schedule.points[0]), list[NDArray[np.float64]](), 0
    for evaluation in plan:
        drawn += evaluation.draws
        at = evaluation.at
        seen = at.alpha * VARIANCE / (at.alpha**2 * VARIANCE + at.sigma**2) * latents
        parts = [latents, seen, np.eye(num)[drawn], *carried]
        latents, carried = _mixed(evaluation.latents, parts), [_mixed(mix, parts) for mix in evaluation.carries]
    return float(np.linalg.norm(latents))


def _mixed(mix: Mix, parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.sum([weight * part for weight, part in zip(mix.weights, parts, strict=False)], axis=0)


@pytest.mark.parametrize("kind", [diffusion, flow])
@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (registry.EULER_ANCESTRAL, 1),
        (registry.DDPM, 1),
        (registry.DPMPP_2S_ANCESTRAL, 1),
        (registry.DPMPP_SDE, 1),
        (registry.DPMPP_2M_SDE, 1.5),
        (registry.DPMPP_2M_SDE_HEUN, 2),
        (registry.DPMPP_3M_SDE, 2),
    ],
    ids=lambda value: value.name if isinstance(value, Sampler) else "",
)
def test_stochastic_samplers_reach_the_right_spread(
    sampler: Sampler, expected: float, kind: Callable[[int], Schedule]
) -> None:
    schedules = [kind(num) for num in (80, 160)]
    errors = [
        abs(deviation(sampler.plan(schedule), schedule) / spread(schedule.ends[-1]) - 1) for schedule in schedules
    ]
    assert order(errors) > expected - 0.35
