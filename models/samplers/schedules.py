"""Schedules: the times that a sampler passes on its way from noise to picture, shifted for the picture's size.

Time runs from 1 (pure noise) to 0 (the picture). A schedule of n steps has n + 1 times and ends with 0; for flow matching a
time is also the noise level sigma. Everything is float32, in the order of operations of Diffusers'
FlowMatchEulerDiscreteScheduler, so that both agree to the last bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import UnsupportedInput

LARGE_PICTURE = 4300
"""Tokens from which the shift of FLUX.2 no longer depends on the number of steps."""


def empirical_mu(num_tokens: int, num_steps: int) -> float:
    """Return FLUX.2's shift for a picture (BFL `compute_empirical_mu`): a line through tokens, then one through steps.

    It drops sharply above LARGE_PICTURE tokens (1040 x 1040): published behaviour, kept.

    Args:
        num_tokens: tokens of the picture, references not counted.
        num_steps: steps of the schedule.
    """
    at_200_steps = 0.00016927 * num_tokens + 0.45666666
    if num_tokens > LARGE_PICTURE:
        return at_200_steps
    at_10_steps = 8.73809524e-05 * num_tokens + 1.89833333
    slope = (at_200_steps - at_10_steps) / 190.0
    return slope * num_steps + (at_200_steps - 200.0 * slope)


@dataclass(frozen=True)
class LinearMu:
    """FLUX.1's shift: a line through two sizes of picture (BFL `get_lin_function`; fields of Diffusers' scheduler_config.json).

    Attributes:
        base_tokens: tokens of a small picture.
        max_tokens: tokens of a large picture.
        base_shift: mu of the small one.
        max_shift: mu of the large one.
    """

    base_tokens: int = 256
    max_tokens: int = 4096
    base_shift: float = 0.5
    max_shift: float = 1.15

    def __call__(self, num_tokens: int, num_steps: int) -> float:
        """Return mu; the number of steps does not matter."""
        slope = (self.max_shift - self.base_shift) / (self.max_tokens - self.base_tokens)
        return num_tokens * slope + (self.base_shift - slope * self.base_tokens)


@dataclass(frozen=True)
class FlowSchedule:
    """How a folder's scheduler shifts its times (fields of Diffusers' scheduler_config.json).

    Attributes:
        shift: static shift s: t -> s t / (1 + (s - 1) t); unused when the shift is dynamic.
        use_dynamic_shifting: whether the shift follows the picture's size, and FLUX.2's the number of steps.
        mu: the dynamic shift of (tokens of the picture, steps).
        time_shift_type: form of the dynamic shift: with e^mu, or with mu itself.
        shift_terminal: stretch the times so that the last one before 0 is this; None leaves them.
    """

    shift: float = 1.0
    use_dynamic_shifting: bool = False
    mu: Callable[[int, int], float] = empirical_mu
    time_shift_type: Literal["exponential", "linear"] = "exponential"
    shift_terminal: float | None = None


def flow_times(
    schedule: FlowSchedule, num_tokens: int, num_steps: int, listed: Sequence[float] | None = None
) -> Tensor:
    """Return the times of a schedule.

    Args:
        schedule: the folder's scheduler.
        num_tokens: tokens of the picture; matters when the shift is dynamic.
        num_steps: at least 1.
        listed: num_steps times before the shift, falling; None takes even ones.

    Returns:
        num_steps + 1 times, float32 on the CPU, falling from 1 (or from the first that is listed, shifted) to 0.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps is {num_steps}; a schedule has at least one step")
    even = np.linspace(1.0, 1 / num_steps, num_steps) if listed is None else np.array(listed)
    times = even.astype(np.float32)
    if schedule.use_dynamic_shifting:
        times = _dynamically_shifted(times, schedule.mu(num_tokens, num_steps), schedule.time_shift_type)
    else:
        times = schedule.shift * times / (1 + (schedule.shift - 1) * times)
    if schedule.shift_terminal is not None:
        from_end = 1 - times
        times = 1 - from_end / (from_end[-1] / (1 - schedule.shift_terminal))
    return torch.cat([torch.tensor(times.tolist(), dtype=torch.float32), torch.zeros(1)])


def _dynamically_shifted(
    times: NDArray[np.float32], mu: float, kind: Literal["exponential", "linear"]
) -> NDArray[np.float32]:
    factor = float(np.exp(mu)) if kind == "exponential" else mu
    return np.asarray(factor / (factor + (1 / times - 1)), dtype=np.float32)


def first_step(num_steps: int, strength: float) -> int:
    """Return the step at which a picture that is given enters a schedule of num_steps: the last `strength` of them are run.

    At least one step is run, however small the strength.

    Args:
        num_steps: of the whole schedule.
        strength: in (0, 1]; 1 keeps nothing of the picture.
    """
    if not 0 < strength <= 1:
        raise UnsupportedInput(f"strength {strength:g} is not above 0 and at most 1")
    return min(int(num_steps - min(num_steps * strength, num_steps)), num_steps - 1)


def noised(clean_LC: Tensor, noise_LC: Tensor, t: float) -> Tensor:
    """Mix a clean picture's latents with noise as they stand at time t (0 clean, 1 noise), in the latents' dtype."""
    sigma = torch.tensor(t, dtype=torch.float32).to(clean_LC)
    return sigma * noise_LC + (1.0 - sigma) * clean_LC
