"""Straight lines: the coordinates in which Euler's method and its relatives of higher order step (Karras et al. 2022, arXiv:2206.00364).

There y = x / scale moves along its slope (y - picture) / ratio. For flow matching y is x itself, the ratio is t and the slope is the
velocity, so the same formulas serve both.
"""

from models.samplers.plan import Mix
from models.samplers.points import Point


def slope(latents: Mix, denoised: Mix, at: Point) -> Mix:
    """dy / dratio of latents whose network predicts `denoised`."""
    return (latents / at.scale - denoised) / at.ratio


def moved(latents: Mix, here: Point, there: Point, along: Mix) -> Mix:
    """Latents after the whole way from here to there along one slope."""
    return there.scale * (latents / here.scale + (there.ratio - here.ratio) * along)
