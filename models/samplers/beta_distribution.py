"""Quantiles of the symmetric beta distribution, which numpy and torch lack."""

import math

import numpy as np
from numpy.typing import NDArray

NUM_TERMS = 80
NUM_HALVINGS = 60


def quantile(probabilities: NDArray[np.float64], shape: float) -> NDArray[np.float64]:
    """Where the distribution function of Beta(shape, shape) reaches each probability, found by halving.

    Args:
        probabilities: in [0, 1].
        shape: both parameters of the distribution, above 0.

    Returns:
        Quantiles in [0, 1], of the probabilities' shape, good to about 1e-15.
    """
    lower = np.minimum(probabilities, 1 - probabilities)
    low, high = np.zeros_like(lower), np.full_like(lower, 0.5)
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        is_below = _lower_half(middle, shape) < lower
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return np.where(lower == probabilities, low * (lower > 0), 1 - low * (lower > 0))


def _lower_half(at: NDArray[np.float64], shape: float) -> NDArray[np.float64]:
    """The distribution function up to 1/2, by its power series: sum over k of (1 - b)_k x^(a + k) / (k! (a + k)) / B(a, b)."""
    total, term = np.zeros_like(at), np.ones_like(at)
    for k in range(NUM_TERMS):
        total += term / (shape + k)
        term = term * at * (k + 1 - shape) / (k + 1)
    log_beta = 2 * math.lgamma(shape) - math.lgamma(2 * shape)
    return total * at**shape / math.exp(log_beta)
