"""Spacings: which of a network's training steps a run visits, falling. Names follow Lin et al. 2023 (arXiv:2305.08891, table 2).

Each is a function (num_steps, num_train_steps) -> num_steps times, float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.floating[Any]]
Spacing = Callable[[int, int], Times]


def linspace(num_steps: int, num_train_steps: int) -> Times:
    """From the last training step to the first, evenly, between whole steps too."""
    return np.linspace(num_train_steps - 1, 0, num_steps)


def whole_linspace(num_steps: int, num_train_steps: int) -> Times:
    """linspace at whole training steps."""
    return np.linspace(0.0, num_train_steps - 1.0, num_steps).round()[::-1]


def open_linspace(num_steps: int, num_train_steps: int) -> Times:
    """Whole steps of a linspace with one step more, without its last: the picture itself stands there (DPM-Solver)."""
    return np.linspace(0, num_train_steps - 1, num_steps + 1).round()[:0:-1]


def leading(num_steps: int, num_train_steps: int, offset: int = 0) -> Times:
    """Multiples of a whole stride from 0 up, shifted by `offset`; never reaches the last training step."""
    return np.arange(num_steps)[::-1] * float(num_train_steps // num_steps) + offset


def open_leading(num_steps: int, num_train_steps: int, offset: int = 0) -> Times:
    """leading with one step more, without its last (DPM-Solver)."""
    return np.arange(1, num_steps + 1)[::-1] * float(num_train_steps // (num_steps + 1)) + offset


def trailing(num_steps: int, num_train_steps: int) -> Times:
    """Even strides down from the last training step."""
    return np.arange(num_train_steps, 0, -num_train_steps / num_steps)[:num_steps].round() - 1


def sgm_uniform(num_steps: int, num_train_steps: int) -> Times:
    """linspace with one step more, without its last, between whole steps too (Stability's generative-models)."""
    return np.linspace(num_train_steps - 1, 0, num_steps + 1)[:-1]


def simple(num_steps: int, num_train_steps: int) -> Times:
    """Whole strides down from the last training step, cut, not rounded (ComfyUI's `simple`)."""
    return num_train_steps - 1 - np.floor(np.arange(num_steps) * num_train_steps / num_steps)


def distilled(num_steps: int, num_train_steps: int, num_original: int = 50) -> Times:
    """Of the steps that a consistency network was distilled on, evenly from the last one (Luo et al. 2023, arXiv:2310.04378).

    Args:
        num_steps: at most num_original.
        num_train_steps: of the network that was distilled.
        num_original: steps of the distillation.
    """
    stride = num_train_steps // num_original
    origins = np.arange(num_original, 0, -1) * float(stride) - 1
    return origins[np.floor(np.linspace(0, num_original, num_steps, endpoint=False)).astype(np.int64)]


@dataclass(frozen=True)
class Steps:
    """Training steps that somebody chose.

    Attributes:
        times: falling.
    """

    times: tuple[int, ...]

    def __call__(self, num_steps: int, num_train_steps: int) -> Times:
        return np.array(self.times, dtype=np.float64)


SD_LEADING = partial(leading, offset=1)
SD_OPEN_LEADING = partial(open_leading, offset=1)
"""As Stable Diffusion's folders ask for it."""
