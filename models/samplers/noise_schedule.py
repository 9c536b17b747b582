"""Noise schedules: how much noise diffusion networks were trained to see at each step of training."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.samplers.points import Point

SMALLEST_ALPHA_BAR = 2.0**-24
"""Stands for 0 where a ratio is needed, as in Diffusers: the ratio of pure noise is 4096 then, not infinite."""
MAX_COSINE_BETA = 0.999


class Betas(StrEnum):
    """Variance that each training step adds, from beta_start to beta_end."""

    LINEAR = "linear"
    """Ho et al. 2020, arXiv:2006.11239."""
    SCALED_LINEAR = "scaled_linear"
    """Square of a line through the roots (Rombach et al. 2022, arXiv:2112.10752): Stable Diffusion."""
    COSINE = "squaredcos_cap_v2"
    """Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 17; needs neither start nor end."""
    SQRT = "sqrt"
    """Root of a line (latent-diffusion's make_beta_schedule)."""


@dataclass(frozen=True)
class NoiseSchedule:
    """The noise of training (fields of Diffusers' scheduler_config.json).

    Attributes:
        betas: form of the curve.
        beta_start: variance that the first training step adds.
        beta_end: variance that the last one adds.
        num_train_steps: training steps.
        zero_terminal_snr: whether the last step is rescaled to pure noise (Lin et al. 2023, arXiv:2305.08891, algorithm 1).
    """

    betas: Betas = Betas.SCALED_LINEAR
    beta_start: float = 0.00085
    beta_end: float = 0.012
    num_train_steps: int = 1000
    zero_terminal_snr: bool = False

    @cached_property
    def alpha_bars(self) -> NDArray[np.float64]:
        """Share of the picture's variance that is left after each training step, falling."""
        return self._remains.double().numpy()

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """sigma / alpha after each training step (k-diffusion's sigmas), rising and finite."""
        remains = self._remains.clamp(min=SMALLEST_ALPHA_BAR) if self.zero_terminal_snr else self._remains
        return (((1 - remains) / remains) ** 0.5).double().numpy()

    @cached_property
    def _remains(self) -> Tensor:
        """alpha_bars in float32, in which networks were trained and Diffusers computes."""
        alpha_bars = torch.cumprod(1.0 - _CURVES[self.betas](self), dim=0)
        return _rescaled(alpha_bars) if self.zero_terminal_snr else alpha_bars

    @cached_property
    def _log_ratios(self) -> NDArray[np.float32]:
        """In float32, as in Diffusers, whose solvers cut times to whole ones: a last bit decides there."""
        return np.log(self.ratios.astype(np.float32))

    def at_time(self, time: float) -> Point:
        """The point after a whole training step, pure noise included."""
        alpha_bar = float(self.alpha_bars[int(time)])
        return Point(alpha=alpha_bar**0.5, sigma=(1.0 - alpha_bar) ** 0.5, time=time, scale=alpha_bar**0.5)

    def at_ratio(self, ratio: float) -> Point:
        """The point of this sigma / alpha; its time is interpolated in the logarithm and stays within training."""
        return point_of(ratio, self.time_of(ratio))

    def at_log_snr(self, log_snr: float) -> Point:
        return self.at_ratio(math.exp(-log_snr))

    def time_of(self, ratio: float) -> float:
        """Training step of this sigma / alpha, between whole ones where it lies between theirs."""
        return float(np.interp(math.log(max(ratio, 1e-10)), self._log_ratios, np.arange(self.num_train_steps)))

    def ratio_at(self, time: float) -> float:
        """sigma / alpha at a training step, interpolated linearly between whole ones, as Diffusers does."""
        return float(np.interp(time, np.arange(self.num_train_steps), self.ratios))


def point_of(ratio: float, time: float) -> Point:
    """The variance-preserving point of this sigma / alpha, under the time that the network is told."""
    alpha = 1.0 / (1.0 + ratio * ratio) ** 0.5
    return Point(alpha=alpha, sigma=ratio * alpha, time=time, scale=alpha)


def _line(start: float, end: float, num_steps: int) -> Tensor:
    return torch.linspace(start, end, num_steps, dtype=torch.float32)


def _linear(of: NoiseSchedule) -> Tensor:
    return _line(of.beta_start, of.beta_end, of.num_train_steps)


def _scaled_linear(of: NoiseSchedule) -> Tensor:
    return _line(of.beta_start**0.5, of.beta_end**0.5, of.num_train_steps) ** 2


def _sqrt(of: NoiseSchedule) -> Tensor:
    return _line(of.beta_start, of.beta_end, of.num_train_steps) ** 0.5


def _cosine(of: NoiseSchedule) -> Tensor:
    at = torch.arange(of.num_train_steps + 1, dtype=torch.float64) / of.num_train_steps
    alpha_bars = torch.cos((at + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - alpha_bars[1:] / alpha_bars[:-1]).clamp(max=MAX_COSINE_BETA).float()


_CURVES: dict[Betas, Callable[[NoiseSchedule], Tensor]] = {
    Betas.LINEAR: _linear,
    Betas.SCALED_LINEAR: _scaled_linear,
    Betas.COSINE: _cosine,
    Betas.SQRT: _sqrt,
}


def _rescaled(alpha_bars: Tensor) -> Tensor:
    """Shift the roots so that the last is 0, and stretch them so that the first stays."""
    roots = alpha_bars.sqrt()
    first, last = roots[0], roots[-1]
    return ((roots - last) * (first / (first - last))) ** 2
