"""Samplers of first order: Euler, Euler ancestral, DDIM, DDPM and flow Euler, which are one formula.

The network's picture D gives the noise that it sees, (x - alpha D) / sigma. A step keeps a part of it and draws the rest anew, so
that x' = alpha' D + sigma' * noise has the next point's level (Song et al. 2020, arXiv:2010.02502, eq. 12 and 16). eta = 0 draws none: that
is DDIM, and Euler's method along the straight lines of Karras et al. 2022 (arXiv:2206.00364, algorithm 1 without churn), for diffusion
and flow matching alike. eta = 1 draws as much as DDPM's posterior does (Ho et al. 2020, arXiv:2006.11239, eq. 7), which is
k-diffusion's ancestral step.
"""

from collections.abc import Iterator

from models.samplers.plan import DENOISED, LATENTS, NOISE, Evaluation, Mix
from models.samplers.points import Point
from models.samplers.schedule import Schedule


def first_order(schedule: Schedule, eta: float = 0.0) -> Iterator[Evaluation]:
    """One evaluation a step.

    Args:
        schedule: of diffusion or flow matching, pure noise included.
        eta: share of the noise that is drawn anew, in [0, 1].
    """
    for index, (here, there) in enumerate(schedule.steps):
        drawn = eta * fresh_noise(here, there)
        yield Evaluation(here, index, renoised(LATENTS, DENOISED, here, there, drawn))


def fresh_noise(here: Point, there: Point) -> float:
    """Standard deviation of the noise that DDPM draws anew in a step, in the latents of its end."""
    remains = (there.sigma * here.alpha) / (there.alpha * here.sigma)
    return there.sigma * max(0.0, 1.0 - remains**2) ** 0.5


def renoised(latents: Mix, denoised: Mix, here: Point, there: Point, drawn: float) -> Mix:
    """The latents at `there`, of which noise of standard deviation `drawn` is new and the rest the one that the network sees."""
    kept = max(0.0, there.sigma**2 - drawn**2) ** 0.5
    return there.alpha * denoised + kept * noise_seen(latents, denoised, here) + drawn * NOISE


def noise_seen(latents: Mix, denoised: Mix, at: Point) -> Mix:
    """The noise in the latents, by the picture that the network predicts."""
    return (latents - at.alpha * denoised) / at.sigma
