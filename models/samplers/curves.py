"""Curves: noise levels between the two ends of a run, wherever the training steps may lie.

Each is a function (largest, smallest, num_steps) -> num_steps ratios sigma / alpha (for flow matching: times), falling from largest
to smallest, float64.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.samplers.beta_distribution import quantile

Levels = NDArray[np.floating[Any]]
Curve = Callable[[float, float, int], Levels]
KARRAS_RHO = 7.0
BETA_SHAPE = 0.6


def karras(largest: float, smallest: float, num_steps: int) -> Levels:
    """Even in the seventh root (Karras et al. 2022, arXiv:2206.00364, eq. 5)."""
    ramp, root = np.linspace(0, 1, num_steps), 1 / KARRAS_RHO
    return np.asarray((largest**root + ramp * (smallest**root - largest**root)) ** KARRAS_RHO)


def exponential(largest: float, smallest: float, num_steps: int) -> Levels:
    """Even in the logarithm."""
    return np.exp(np.linspace(math.log(largest), math.log(smallest), num_steps))


def beta(largest: float, smallest: float, num_steps: int) -> Levels:
    """At the quantiles of Beta(0.6, 0.6): dense at both ends (Lee et al. 2024, arXiv:2407.12173)."""
    quantiles = quantile(1 - np.linspace(0, 1, num_steps), BETA_SHAPE)
    return smallest + quantiles * (largest - smallest)


def kl_optimal(largest: float, smallest: float, num_steps: int) -> Levels:
    """Even in the arc tangent (Sabour et al. 2024, arXiv:2404.14507, theorem 3.1)."""
    ramp = np.linspace(0, 1, num_steps)
    return np.tan(ramp * math.atan(smallest) + (1 - ramp) * math.atan(largest))
