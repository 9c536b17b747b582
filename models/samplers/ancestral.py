"""Ancestral steps: down to less noise than the step ends with, then up again with noise that is drawn anew (k-diffusion)."""

from models.samplers.points import Point


def split(here: Point, there: Point, eta: float) -> tuple[float, float]:
    """How far down a step goes, and the noise that it draws, both as sigma / alpha; their squares add up to where it ends.

    Args:
        here: where the step begins; of diffusion.
        there: where it ends.
        eta: 0 draws none, 1 as much as DDPM's posterior.
    """
    return split_ratio(here.noise_to_picture, there.noise_to_picture, eta)


def split_ratio(begin: float, end: float, eta: float) -> tuple[float, float]:
    """split, of sigma / alpha where a step begins and ends."""
    up = eta * end * (1.0 - (end / begin) ** 2) ** 0.5
    return max(0.0, end**2 - up**2) ** 0.5, up
