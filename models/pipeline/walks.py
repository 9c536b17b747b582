"""Walks: a row's way along the evaluations of a sampler that was asked for by name.

A row's state is one tensor: its latents, the picture that the network predicted last, and what the sampler carries on, side by side in the
channels of every token. All noise that steps will need is drawn when the row begins, so that a walk is a value that nothing writes to.

Shape suffixes: L = tokens, C = channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.samplers.plan import NoiseStream, Plan, State, advance
from models.samplers.points import CLEAN, Point
from models.samplers.sampler import Sampler
from models.samplers.schedule import Schedule

LEAST_SCALE = 2.0**-12
"""Where a diffusion holds no picture at all its straight lines are infinitely wide; this is Diffusers' stand-in."""


@dataclass(frozen=True, eq=False)
class Foreseen(NoiseStream):
    """A stream of which the next draw is known."""

    noise: Tensor | None = None

    def draw(self, like: Tensor) -> tuple[Tensor, NoiseStream]:
        assert self.noise is not None
        return self.noise, self


@dataclass(frozen=True, eq=False)
class Walk:
    """The evaluations of a row.

    Attributes:
        plan: all of them.
        noises: what each draws, L x C, where it draws.
        channels: of the latents.
    """

    plan: Plan
    noises: tuple[Tensor | None, ...]
    channels: int

    @property
    def times(self) -> Tensor:
        """Times along the straight lines, of every evaluation, then 0; float32 on the CPU."""
        return torch.tensor([*(self.line_time(step) for step in range(len(self.plan))), 0.0])

    @property
    def told(self) -> Tensor:
        """Times as networks are told them, of every evaluation; float32 on the CPU."""
        return torch.tensor([evaluation.at.time for evaluation in self.plan])

    def at(self, step: int) -> Point:
        """Where the latents stand before an evaluation, or after the last one."""
        return self.plan[step].at if step < len(self.plan) else CLEAN

    def line(self, state_LC: Tensor, step: int) -> Tensor:
        """The latents on the straight line between picture and noise (models.samplers.trajectories), at line_time(step)."""
        return state_LC[:, : self.channels] / max(self.at(step).scale, LEAST_SCALE)

    def line_time(self, step: int) -> float:
        """Time along that line."""
        at = self.at(step)
        return at.sigma / max(at.scale, LEAST_SCALE)

    def moved(self, state_LC: Tensor, velocity_LC: Tensor, step: int) -> Tensor:
        """The state after an evaluation, given the derivative along the line; after the last one the latents alone."""
        latents_LC, _, *carried = _parts(state_LC, self.channels)
        denoised_LC = self.line(state_LC, step) - self.line_time(step) * velocity_LC
        stream = Foreseen(torch.empty(0), noise=self.noises[step])
        after = advance(self.plan[step], State(latents_LC, stream, tuple(carried)), denoised_LC)
        if step + 1 == len(self.plan):
            return after.latents
        return torch.cat([after.latents, denoised_LC.to(after.latents), *after.carried], dim=-1)

    def picture(self, state_LC: Tensor) -> Tensor:
        """The picture that the network predicted last, L x C."""
        return _parts(state_LC, self.channels)[1]

    def blended(self, state_LC: Tensor, weights: Tensor, stays_LC: Tensor) -> Tensor:
        """The state with latents of which a part stays as it is."""
        latents_LC = (1 - weights) * stays_LC + weights * state_LC[:, : self.channels]
        return torch.cat([latents_LC, state_LC[:, self.channels :]], dim=-1)


def _parts(state_LC: Tensor, channels: int) -> Sequence[Tensor]:
    """Latents, the picture predicted last, and what is carried; before the first evaluation the latents alone."""
    if state_LC.shape[1] == channels:
        return state_LC, state_LC
    return state_LC.split_with_sizes([channels] * (state_LC.shape[1] // channels), dim=-1)


def walk_of(sampler: Sampler, schedule: Schedule, draw: Callable[[torch.dtype | None], Tensor], channels: int) -> Walk:
    """Plan a row's way and draw its noise.

    Args:
        sampler: of the request.
        schedule: from the step where the row begins.
        draw: makes noise, L x C, with the row's own generator; float32 when it is told so, else in the networks' dtype.
        channels: of the latents.
    """
    plan = sampler.plan(schedule)
    dtype = torch.float32 if sampler.draws_float32 else None
    return Walk(plan, tuple(draw(dtype) if evaluation.draws else None for evaluation in plan), channels)
