"""Points: where latents stand between the picture and pure noise, for diffusion and for flow matching alike.

At a point the latents are x = alpha * picture + sigma * noise, and the network sees x as it is. Diffusion keeps
alpha^2 + sigma^2 = 1 (variance preserving); flow matching keeps alpha + sigma = 1. Samplers are written over points, so one
formula serves both wherever the mathematics is the same.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Point:
    """A place on the way from noise to picture.

    Attributes:
        alpha: weight of the picture, in [0, 1].
        sigma: weight of the noise, in [0, 1].
        time: what the network is told: the index of a training step, possibly between two (diffusion), or t in [0, 1] (flow).
        scale: x / scale moves along (x / scale - picture) / ratio, the straight lines of Karras et al. 2022 (arXiv:2206.00364, eq. 4):
            alpha for diffusion, 1 for flow matching, whose lines are straight as they are.
    """

    alpha: float
    sigma: float
    time: float
    scale: float

    @property
    def ratio(self) -> float:
        """sigma / scale: k-diffusion's sigma for diffusion, t for flow matching. Infinite where a diffusion holds no picture."""
        return self.sigma / self.scale if self.scale else math.inf

    @property
    def noise_to_picture(self) -> float:
        """sigma / alpha, also for flow matching; infinite where there is no picture."""
        return self.sigma / self.alpha if self.alpha else math.inf

    @property
    def log_snr(self) -> float:
        """lambda = ln(alpha / sigma) (Lu et al. 2022, arXiv:2206.00927); infinite at either end."""
        if not self.alpha:
            return -math.inf
        return math.log(self.alpha / self.sigma) if self.sigma else math.inf

    def noised(self, clean: Tensor, noise: Tensor) -> Tensor:
        """A picture's latents as they stand here."""
        return self.alpha * clean + self.sigma * noise


class Space(Protocol):
    """All points that a network was trained on, for samplers that look between those of a schedule."""

    def at_time(self, time: float) -> Point:
        """The point that the network calls `time`."""
        ...

    def at_ratio(self, ratio: float) -> Point:
        """The point of this ratio, finite."""
        ...

    def at_log_snr(self, log_snr: float) -> Point:
        """The point of this lambda, finite."""
        ...


@dataclass(frozen=True)
class Flow:
    """The points of flow matching (Lipman et al. 2022, arXiv:2210.02747, with time turned round: 1 is noise)."""

    def at_time(self, time: float) -> Point:
        return Point(alpha=1.0 - time, sigma=time, time=time, scale=1.0)

    def at_ratio(self, ratio: float) -> Point:
        return self.at_time(ratio)

    def at_log_snr(self, log_snr: float) -> Point:
        return self.at_time(1.0 / (1.0 + math.exp(log_snr)))


CLEAN = Point(alpha=1.0, sigma=0.0, time=0.0, scale=1.0)
"""The picture."""
