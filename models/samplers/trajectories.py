"""Trajectories: how latents lie between noise and picture in each kind of network, and at which times a run passes.

Along either trajectory the latents move on straight lines, so that Euler's step is the same: flow matching's own, and for diffusion those of
Karras et al. 2022 (arXiv:2206.00364, eq. 4), picture + sigma * noise, whose time is sigma itself.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.samplers import euler
from models.samplers.asked import NOTHING_ASKED, Asked
from models.samplers.grids import Grid, with_sigmas, with_timesteps
from models.samplers.layout import Layout
from models.samplers.methods import FLOW_METHODS, Methods
from models.samplers.names import Choice, names_schedule
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.points import Flow, Point
from models.samplers.prediction import Prediction
from models.samplers.registry import EULER
from models.samplers.sampler import Sampler
from models.samplers.schedule import Schedule
from models.samplers.schedules import FlowSchedule, first_step, flow_times, noised

Picked = tuple[Sampler, Schedule]
"""A sampler, and the schedule that it walks."""


class Trajectory(Protocol):
    """The way from noise to picture."""

    @property
    def encodes_forgotten(self) -> bool:
        """Whether a picture to fill is encoded where none of it is kept, as Diffusers has it: what that draws comes before the noise."""
        ...

    def times(self, num_tokens: int, num_steps: int) -> Tensor:
        """The times of a whole run, float32 on the CPU, falling to 0.

        Args:
            num_tokens: tokens of the picture.
            num_steps: at least 1.
        """
        ...

    def picked(self, asked: Asked, num_tokens: int, num_steps: int) -> Picked | None:
        """The sampler and the schedule of a run; None for Euler's method along `times`.

        Args:
            asked: what the request says.
            num_tokens: tokens of the picture.
            num_steps: at least 1.

        Raises:
            UnsupportedSampler: a name that is not known, or two that do not fit; says which do.
        """
        ...

    def told(self, times: Tensor) -> Tensor:
        """Times as networks are told them."""
        ...

    def first_step(self, num_steps: int, strength: float) -> int:
        """The step at which a picture that is given enters a run of num_steps."""
        ...

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""
        ...

    @property
    def whole_time(self) -> float:
        """What the network is told of pure noise."""
        ...

    def point(self, time: float) -> Point:
        """Where latents stand that the network sees at a time."""
        ...

    def seen(self, latents: Tensor, time: float) -> Tensor:
        """Latents at a time as the network sees them."""
        ...

    def velocity(self, latents: Tensor, output: Tensor, time: float) -> Tensor:
        """The derivative of the latents by time, given what the network predicts for them, both of the same shape."""
        ...

    def begun(self, noise: Tensor, time: float) -> Tensor:
        """The latents of a run from nothing, which begins at `time`, given standard normal noise."""
        ...

    def noised(self, clean: Tensor, noise: Tensor, time: float) -> Tensor:
        """A picture's latents as they stand at a time, in their dtype."""
        ...

    def stepped(self, latents: Tensor, velocity: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Euler's step of some latents, L x C, from a time to the next, rounded where Diffusers rounds it."""
        ...


@dataclass(frozen=True)
class FlowTrajectory:
    """Flow matching: noise at time 1, the picture at time 0."""

    schedule: FlowSchedule

    encodes_forgotten = True
    prediction = Prediction.FLOW
    whole_time = 1.0

    def times(self, num_tokens: int, num_steps: int) -> Tensor:
        return flow_times(self.schedule, num_tokens, num_steps)

    def picked(self, asked: Asked, num_tokens: int, num_steps: int) -> Picked | None:
        if asked == NOTHING_ASKED:
            return None
        choice = asked.choice(FLOW_METHODS)
        listed = None if asked.sigmas is None else asked.check_sigmas(num_steps, most=1.0)
        return choice.sampler, choice.grid(flow_times(self.schedule, num_tokens, num_steps, listed))

    def told(self, times: Tensor) -> Tensor:
        return times

    def first_step(self, num_steps: int, strength: float) -> int:
        return first_step(num_steps, strength)

    def point(self, time: float) -> Point:
        return Flow().at_time(time)

    def seen(self, latents: Tensor, time: float) -> Tensor:
        return latents

    def velocity(self, latents: Tensor, output: Tensor, time: float) -> Tensor:
        return output

    def begun(self, noise: Tensor, time: float) -> Tensor:
        return noise

    def noised(self, clean: Tensor, noise: Tensor, time: float) -> Tensor:
        return noised(clean, noise, time)

    def stepped(self, latents: Tensor, velocity: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        return euler.step(latents[None], velocity[None], time[None], next_time[None])[0]


@dataclass(frozen=True)
class DiffusionTrajectory:
    """Diffusion: time is the ratio of noise to picture.

    Attributes:
        training: the noise that the network was trained on.
        layout: how its folder asks for steps to be laid over it.
        prediction: what the network predicts.
        methods: samplers and the schedules that fit them.
        sampler: the folder's own.
    """

    training: NoiseSchedule
    layout: Layout
    prediction: Prediction
    methods: Methods[Grid]
    sampler: Sampler = EULER

    encodes_forgotten = False
    whole_time = 1000.0

    def times(self, num_tokens: int, num_steps: int) -> Tensor:
        schedule = self.layout.grid(EULER)(self.training, num_steps)
        ratios = [*(point.ratio for point in schedule.points), schedule.ends[-1].ratio]
        return torch.tensor(ratios, dtype=torch.float32)

    def picked(self, asked: Asked, num_tokens: int, num_steps: int) -> Picked | None:
        if asked == NOTHING_ASKED and self.sampler is EULER:
            return None
        choice = asked.choice(self.methods, self.sampler)
        return choice.sampler, self._grid(asked, choice, num_steps)(self.training, num_steps)

    def _grid(self, asked: Asked, choice: Choice[Grid], num_steps: int) -> Grid:
        """What is listed, else the schedule that is named, else what Diffusers' scheduler of this sampler makes of the folder."""
        layout = self.layout.grid(choice.sampler)
        if asked.sigmas is not None:
            return with_sigmas(layout, asked.check_sigmas(num_steps))
        if asked.timesteps is not None:
            return with_timesteps(layout, asked.check_timesteps(num_steps, self.training.num_train_steps))
        is_named = asked.schedule is not None or (asked.sampler is not None and names_schedule(asked.sampler))
        return choice.grid if is_named else layout

    def told(self, times: Tensor) -> Tensor:
        return torch.tensor([self.training.time_of(float(time)) for time in times], dtype=torch.float32)

    def first_step(self, num_steps: int, strength: float) -> int:
        """As Diffusers counts: what is run is cut to a whole number of steps, not what is left out."""
        first_step(num_steps, strength)
        return num_steps - max(min(int(num_steps * strength), num_steps), 1)

    def begun(self, noise: Tensor, time: float) -> Tensor:
        return noise * (_deviation(time) if self.layout.spacing == "leading" else time)

    def noised(self, clean: Tensor, noise: Tensor, time: float) -> Tensor:
        return clean + noise * time

    def stepped(self, latents: Tensor, velocity: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        wide = latents.float()
        picture = wide - time * velocity
        return (wide + (wide - picture) / time * (next_time - time)).to(latents.dtype)

    def point(self, time: float) -> Point:
        alpha = (time * time + 1.0) ** -0.5
        return Point(alpha, time * alpha, self.training.time_of(time), alpha)

    def seen(self, latents: Tensor, time: float) -> Tensor:
        """With unit variance."""
        return latents / _deviation(time)

    def velocity(self, latents: Tensor, output: Tensor, time: float) -> Tensor:
        variance = time * time + 1.0
        match self.prediction:
            case Prediction.V:
                return latents * (time / variance) + output / variance**0.5
            case Prediction.SAMPLE:
                return (latents - output) / time
            case _:
                return output


def _deviation(time: float) -> Tensor:
    """Standard deviation of the latents of a picture of unit variance, rounded as Diffusers rounds it."""
    return (torch.tensor(time, dtype=torch.float32) ** 2 + 1) ** 0.5
