"""Grids: how the steps of a diffusion's run are laid over the noise of training. A grid is a value; called, it makes a Schedule.

Diffusers' samplers read the training noise in two ways, and pictures depend on it: some at whole training steps, others as ratios
sigma / alpha between them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np

from models.errors import UnsupportedSampler
from models.samplers.curves import Curve, Levels
from models.samplers.noise_schedule import NoiseSchedule, point_of
from models.samplers.points import CLEAN, Point
from models.samplers.schedule import Schedule, through
from models.samplers.spacing import Spacing, Steps, Times


class Grid(Protocol):
    """Makes the schedule of a run."""

    def __call__(self, training: NoiseSchedule, num_steps: int) -> Schedule:
        """Raises UnsupportedSampler when it has no schedule of so many steps."""
        ...


class End(StrEnum):
    """Where the last step ends."""

    CLEAN = "zero"
    """At the picture."""
    LEAST_NOISE = "sigma_min"
    """At the first training step, which holds a little noise."""


@dataclass(frozen=True)
class TrainingSteps:
    """Whole training steps, with their own alpha and sigma: DDIM, DDPM, PNDM, LCM, TCD.

    Attributes:
        spacing: which of them.
        end: where the last step ends.
        has_fixed_stride: whether each step ends num_train_steps // num_steps training steps below its begin, as Diffusers' DDIM
            has it; that is not always where the next one begins.
    """

    spacing: Spacing
    end: End = End.CLEAN
    has_fixed_stride: bool = False

    def __call__(self, training: NoiseSchedule, num_steps: int) -> Schedule:
        times = times_of(self.spacing, training, num_steps)
        points = tuple(training.at_time(float(time)) for time in times)
        end = _end_of(training, self.end)
        if not self.has_fixed_stride:
            return through(points, end, training)
        stride = training.num_train_steps // num_steps
        ends = [point.time - stride for point in points]
        return Schedule(points, tuple(training.at_time(time) if time >= 0 else end for time in ends), training)


@dataclass(frozen=True)
class Ratios:
    """Ratios sigma / alpha along a spacing, or along a curve between its ends: every sampler of k-diffusion and DPM-Solver.

    Attributes:
        spacing: training steps, also between whole ones.
        curve: levels between the ends instead; the network is told the times of these.
        spans_training: whether the curve runs over all noise of training instead of the spacing's own.
        told: what the network is told of a time along the curve: `float` for the time itself, `round` or `int` for whole ones.
        has_unit_noise: whether a run begins with noise of deviation 1, else with what belongs to its first point.
        end: where the last step ends.
    """

    spacing: Spacing
    curve: Curve | None = None
    spans_training: bool = True
    told: Callable[[float], float] = float
    has_unit_noise: bool = False
    end: End = End.CLEAN

    def __call__(self, training: NoiseSchedule, num_steps: int) -> Schedule:
        times = times_of(self.spacing, training, num_steps)
        points = tuple(point_of(training.ratio_at(float(time)), float(time)) for time in times)
        if self.curve is not None:
            ends = training.ratios[[-1, 0]] if self.spans_training else (points[0].ratio, points[-1].ratio)
            points = self._along(self.curve(float(ends[0]), float(ends[1]), num_steps), training)
        scale = 1.0 if self.has_unit_noise else points[0].sigma
        return through(points, _end_of(training, self.end), training, scale)

    def _along(self, ratios: Levels, training: NoiseSchedule) -> tuple[Point, ...]:
        return tuple(point_of(float(ratio), self.told(training.time_of(float(ratio)))) for ratio in ratios)


@dataclass(frozen=True)
class Listed:
    """Ratios sigma / alpha that somebody chose, for as many steps as there are.

    Attributes:
        ratios: falling, without the 0 at the end.
        has_unit_noise: whether a run begins with noise of deviation 1, else with what belongs to its first point.
    """

    ratios: tuple[float, ...]
    has_unit_noise: bool = False

    def __call__(self, training: NoiseSchedule, num_steps: int) -> Schedule:
        if num_steps != len(self.ratios):
            raise UnsupportedSampler(f"{len(self.ratios)} noise levels are listed, for {num_steps} steps")
        if not _falls(np.array(self.ratios)) or self.ratios[-1] <= 0 or not np.isfinite(self.ratios[0]):
            raise UnsupportedSampler("listed noise levels do not fall, or are not above 0")
        schedule = through_ratios(self.ratios, training)
        return replace(schedule, initial_scale=1.0) if self.has_unit_noise else schedule


@dataclass(frozen=True)
class Stretched:
    """A published list of ratios sigma / alpha for one number of steps, read between its entries for others.

    Attributes:
        ratios: falling; the last is where the list ends, and a run takes its last step to the picture instead.
    """

    ratios: tuple[float, ...]

    def __call__(self, training: NoiseSchedule, num_steps: int) -> Schedule:
        check_steps(training, num_steps)
        places = np.linspace(0, len(self.ratios) - 1, num_steps + 1)[:-1]
        logs = np.interp(places, np.arange(len(self.ratios)), np.log(np.array(self.ratios)))
        return through_ratios([float(ratio) for ratio in np.exp(logs)], training)


def with_sigmas(grid: Grid, sigmas: tuple[float, ...]) -> Grid:
    """These levels of noise, begun as `grid` begins."""
    return Listed(sigmas, has_unit_noise=not isinstance(grid, Ratios) or grid.has_unit_noise)


def with_timesteps(grid: Grid, timesteps: tuple[int, ...]) -> Grid:
    """These training steps, read as `grid` reads its own."""
    listed = Steps(timesteps)
    match grid:
        case Ratios():
            return replace(grid, spacing=listed, curve=None)
        case TrainingSteps():
            return replace(grid, spacing=listed, has_fixed_stride=False)
        case _:
            return Ratios(listed)


def through_ratios(ratios: Sequence[float], training: NoiseSchedule) -> Schedule:
    """The schedule through these ratios to the picture; the network is told their times."""
    points = tuple(training.at_ratio(ratio) for ratio in ratios)
    return through(points, CLEAN, training, points[0].sigma)


def times_of(spacing: Spacing, training: NoiseSchedule, num_steps: int) -> Times:
    """The times of a spacing. Raises UnsupportedSampler where it has none for so many steps that fall and lie in training."""
    check_steps(training, num_steps)
    times = spacing(num_steps, training.num_train_steps)
    if len(times) != num_steps or not _falls(times) or times[0] >= training.num_train_steps or times[-1] < 0:
        raise _misfit(training, num_steps)
    return times


def check_steps(training: NoiseSchedule, num_steps: int) -> None:
    """Refuse no steps, and more than there are in training."""
    if not 1 <= num_steps <= training.num_train_steps:
        raise _misfit(training, num_steps)


def _misfit(training: NoiseSchedule, num_steps: int) -> UnsupportedSampler:
    return UnsupportedSampler(f"{num_steps} steps do not fit the {training.num_train_steps} steps of training")


def _falls(values: Times) -> bool:
    return len(values) > 0 and bool((np.diff(values) < 0).all())


def _end_of(training: NoiseSchedule, end: End) -> Point:
    return CLEAN if end is End.CLEAN else training.at_time(0)
