"""Samplers for distilled networks, which jump to the picture and back up with fresh noise: LCM and TCD. One evaluation a step."""

import math
from collections.abc import Iterator

from models.samplers.first_order import noise_seen
from models.samplers.plan import DENOISED, LATENTS, NOISE, Evaluation
from models.samplers.schedule import Schedule

SIGMA_DATA = 0.5
TIME_SCALING = 10.0


def lcm(schedule: Schedule) -> Iterator[Evaluation]:
    """Luo et al. 2023, arXiv:2310.04378, algorithm 3. Near the picture the network's own is mixed with the latents, so that the
    picture maps to itself (Song et al. 2023, arXiv:2303.01469, eq. 5)."""
    for index, (here, there) in enumerate(schedule.steps):
        scaled = TIME_SCALING * here.time
        c_skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
        c_out = scaled / (scaled**2 + SIGMA_DATA**2) ** 0.5
        picture = c_out * DENOISED + c_skip * LATENTS
        is_last = index == schedule.num_steps - 1
        latents = picture if is_last else there.alpha * picture + there.sigma * NOISE
        yield Evaluation(here, index, latents)


def jumps(schedule: Schedule) -> Iterator[Evaluation]:
    """The same for flow matching: to the picture, and up to the next point with fresh noise."""
    for index, (here, there) in enumerate(schedule.steps):
        latents = there.alpha * DENOISED + there.sigma * NOISE if there.sigma else there.alpha * DENOISED
        yield Evaluation(here, index, latents)


def tcd(schedule: Schedule, eta: float = 0.3) -> Iterator[Evaluation]:
    """Zheng et al. 2024, arXiv:2402.19159, algorithm 2: down to a share of the next time, and up to it with fresh noise.

    Args:
        schedule: at whole training steps.
        eta: the paper's gamma.
    """
    for index, (here, there) in enumerate(schedule.steps):
        lower = schedule.space.at_time(math.floor((1 - eta) * there.time))
        reached = lower.alpha * DENOISED + lower.sigma * noise_seen(LATENTS, DENOISED, here)
        if not eta or index == schedule.num_steps - 1:
            yield Evaluation(here, index, reached)
            continue
        kept = there.alpha / lower.alpha
        yield Evaluation(here, index, kept * reached + (1 - kept**2) ** 0.5 * NOISE)
