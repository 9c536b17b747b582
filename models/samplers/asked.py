"""Asked: what a request says of the way from noise to picture, by names or by lists of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.errors import UnsupportedSampler
from models.samplers.methods import GridT, Method, Methods
from models.samplers.names import Choice, choose, method_named, schedule_named
from models.samplers.registry import EULER
from models.samplers.sampler import Sampler

LEAST_SIGMA = 1e-3
MOST_SIGMA = 4096.0
"""Diffusers' stand-in for noise without a picture: the most that any network here is shown."""


@dataclass(frozen=True)
class Asked:
    """What a request says; None leaves it to the network's folder.

    Attributes:
        sampler: by any of its names, perhaps with a schedule behind it.
        schedule: by any of its names.
        eta: share of the noise that each step draws anew, in [0, 1].
        sigmas: levels of noise in the place of a schedule, falling, without the 0 at the end: sigma / alpha of a diffusion; of flow
            matching the times before the network's own shift, as Diffusers' pipelines take them.
        timesteps: training steps of a diffusion in the place of a schedule, falling.
    """

    sampler: str | None = None
    schedule: str | None = None
    eta: float | None = None
    sigmas: tuple[float, ...] | None = None
    timesteps: tuple[int, ...] | None = None

    def choice(self, methods: Methods[GridT], own: Sampler = EULER) -> Choice[GridT]:
        """The sampler, with its share of fresh noise, and the schedule that is named or its own.

        A schedule or a list without a sampler goes with the folder's own sampler where it fits that, else with Euler's method.

        Args:
            methods: of the network.
            own: the folder's sampler.

        Raises:
            UnsupportedSampler: a name that is not known, or what does not fit together.
        """
        self._check_one_way()
        method = methods.get(own.name)
        name = self.sampler or (EULER if method is None or not self._fits(method) else own).name
        choice = choose(methods, name, self.schedule)
        self._check_list(methods, name)
        return choice if self.eta is None else replace(choice, sampler=choice.sampler.with_eta(self.eta))

    def check_sigmas(self, num_steps: int, most: float = MOST_SIGMA) -> tuple[float, ...]:
        """The levels. Raises UnsupportedSampler where they do not fall, are not within LEAST_SIGMA and `most`, or are not num_steps."""
        assert self.sigmas is not None
        _check_falling("sigmas", self.sigmas, num_steps, LEAST_SIGMA, most)
        return self.sigmas

    def check_timesteps(self, num_steps: int, num_train_steps: int) -> tuple[int, ...]:
        """The training steps. Raises UnsupportedSampler where they do not fall, lie outside training, or are not num_steps."""
        assert self.timesteps is not None
        _check_falling("timesteps", self.timesteps, num_steps, 0, num_train_steps - 1)
        return self.timesteps

    def _check_one_way(self) -> None:
        ways = {"schedule": schedule_named(self.schedule), "sigmas": self.sigmas, "timesteps": self.timesteps}
        said = [field for field, value in ways.items() if value is not None]
        if len(said) > 1:
            raise UnsupportedSampler(f"{said[1]}: {said[0]} says already how the steps are laid")

    def _check_list(self, methods: Methods[GridT], name: str) -> None:
        """A sampler by name walks what is listed."""
        field = "sigmas" if self.sigmas is not None else "timesteps" if self.timesteps is not None else None
        method, fused = method_named(methods, name)
        if field is None or method is None:
            return
        if fused is not None:
            raise UnsupportedSampler(f"{field}: sampler {name[:80]!r} names a schedule already")
        if not self._fits(method):
            fitting = ", ".join(one for one, other in methods.items() if self._fits(other)) or "none"
            raise UnsupportedSampler(f"{field} do not fit sampler {method.sampler.name}; these take them: {fitting}")

    def _fits(self, method: Method[GridT]) -> bool:
        schedule = schedule_named(self.schedule)
        return (
            (schedule is None or schedule in method.schedules)
            and (self.sigmas is None or method.takes_sigmas)
            and (self.timesteps is None or method.takes_timesteps)
        )


NOTHING_ASKED = Asked()


def _check_falling(field: str, values: Sequence[float], num_steps: int, least: float, most: float) -> None:
    if len(values) != num_steps:
        raise UnsupportedSampler(f"{field}: {len(values)} are listed, for {num_steps} steps")
    if not (least <= values[-1] and values[0] <= most) or not bool((np.diff(values) < 0).all()):
        raise UnsupportedSampler(f"{field} do not fall from at most {most:g} to at least {least:g}")
