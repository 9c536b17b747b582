"""Schedule: the points that one run passes. What a grid makes of the noise of training, and what a sampler's steps are computed from."""

from dataclasses import dataclass, replace

from torch import Tensor

from models.samplers.curves import Curve
from models.samplers.points import CLEAN, Flow, Point, Space


@dataclass(frozen=True)
class Schedule:
    """The way of one run.

    Attributes:
        points: where each step begins, falling noise.
        ends: where each step ends, as many as points. Mostly the next point; some grids end a step a little beside it.
        space: all points, for samplers that look between those of the schedule.
        initial_scale: standard deviation of the noise that the run begins with.
        skipped: where the steps begin and end that a run from a picture leaves out.
    """

    points: tuple[Point, ...]
    ends: tuple[Point, ...]
    space: Space
    initial_scale: float = 1.0
    skipped: tuple[tuple[Point, Point], ...] = ()

    @property
    def num_steps(self) -> int:
        """Steps that are run."""
        return len(self.points)

    @property
    def num_asked(self) -> int:
        """Steps of the whole schedule, by which samplers tell whether there are few."""
        return len(self.skipped) + len(self.points)

    @property
    def steps(self) -> list[tuple[Point, Point]]:
        """Where each step begins and ends."""
        return list(zip(self.points, self.ends, strict=True))

    def initial(self, noise: Tensor) -> Tensor:
        """The latents that a run from nothing begins with, given standard normal noise."""
        return noise * self.initial_scale

    def later(self, first: int) -> "Schedule":
        """The part of the way from step `first` on."""
        skipped = (*self.skipped, *self.steps[:first])
        return replace(self, points=self.points[first:], ends=self.ends[first:], skipped=skipped)


def through(points: tuple[Point, ...], end: Point, space: Space, initial_scale: float = 1.0) -> Schedule:
    """The schedule whose steps end where the next begins, and the last at `end`."""
    return Schedule(points, (*points[1:], end), space, initial_scale)


def flow_schedule(times: Tensor, curve: Curve | None = None) -> Schedule:
    """The schedule of a flow-matching network.

    Args:
        times: falling times, the last one 0, as models.samplers.schedules.flow_times makes them.
        curve: times between the first and the last above 0, instead of those.
    """
    space = Flow()
    passed = [min(float(time), 1.0) for time in times[:-1]]  # a shift can round the first to more
    if curve is not None:
        passed = [float(time) for time in curve(passed[0], passed[-1], len(passed))]
    points = tuple(space.at_time(time) for time in passed)
    end = float(times[-1])
    return through(points, space.at_time(end) if end else CLEAN, space)
