"""Exponential integrators: the latents' own decay is exact, and only the network's picture is approximated along a step.

Lu et al. 2022, arXiv:2211.01095 (DPM-Solver++). Steps are measured in lambda = ln(alpha / sigma); h is the length of one.
"""

import math

from models.errors import UnsupportedSampler
from models.samplers.plan import Mix
from models.samplers.points import Point


def length(here: Point, there: Point) -> float:
    """h: how far lambda rises; infinite for a step from pure noise or to the picture, 0 where the last level is repeated.

    Raises:
        UnsupportedSampler: it falls.
    """
    h = math.inf if not there.sigma else there.log_snr - here.log_snr
    if h < 0:
        raise UnsupportedSampler("the noise rises between two steps")
    return h


def decayed(latents: Mix, denoised: Mix, here: Point, there: Point) -> Mix:
    """The step along which the picture does not change: exact for the latents, of first order for the picture."""
    return there.sigma / here.sigma * latents + (there.alpha - here.alpha * there.sigma / here.sigma) * denoised
