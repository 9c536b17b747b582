"""Data whose ideal network is known in closed form: the picture is N(0, 1/4) in every position."""

import torch
from torch import Tensor

from models.samplers.plan import Plan, State, advance, begin
from models.samplers.points import Point
from models.samplers.schedule import Schedule

VARIANCE = 0.25


def ideal(at: Point, latents: Tensor) -> Tensor:
    """The mean of the picture, given its latents at a point."""
    return at.alpha * VARIANCE / (at.alpha**2 * VARIANCE + at.sigma**2) * latents


def spread(at: Point) -> float:
    """Standard deviation of the latents at a point. The exact way of a row keeps its latents proportional to it."""
    return (at.alpha**2 * VARIANCE + at.sigma**2) ** 0.5


def states(plan: Plan, latents: Tensor, seed: int = 0) -> list[State]:
    """The row before each evaluation and after the last one."""
    found = [begin(latents, torch.Generator().manual_seed(seed), latents.dtype)]
    for evaluation in plan:
        found.append(advance(evaluation, found[-1], ideal(evaluation.at, found[-1].latents)))
    return found


def error(plan: Plan, schedule: Schedule) -> float:
    """Relative distance of where the plan ends from where the exact way does."""
    start = torch.ones(1, dtype=torch.float64)
    end = states(plan, start)[-1].latents
    exact = spread(schedule.ends[-1]) / spread(schedule.points[0])
    return abs(float(end) - exact) / exact
