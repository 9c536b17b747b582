"""Is the picture what was asked for? A score that needs no other network: background at the border, object by its nearest kin.

All pictures are squares of RGB bytes, H x W x 3.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.training.composition import OBJECT_FILL, Placement, compose
from models.training.vocabulary import COLOURS

NUM_BOXES = 12
BORDER = 4

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Asked:
    """What a prompt names."""

    name: str
    colour: str

    @property
    def prompt(self) -> str:
        """The plainest prompt for it."""
        return f"{self.name} on a {self.colour} background"


def draw_prompts(names: Sequence[str], colours: Sequence[str], num: int, seed: int) -> list[Asked]:
    """Draw what to ask for, from sorted names, with a seed."""
    source = random.Random(seed)
    return [Asked(source.choice(sorted(names)), source.choice(sorted(colours))) for _ in range(num)]


def box_means(pixels_HWC: Pixels) -> NDArray[np.float32]:
    """Return the mean colours of NUM_BOXES x NUM_BOXES boxes."""
    boxes = Image.fromarray(pixels_HWC).resize((NUM_BOXES, NUM_BOXES), Image.Resampling.BOX)
    return np.asarray(boxes, dtype=np.float32)


def border_colour(pixels_HWC: Pixels) -> str:
    """Return the named colour that is nearest to the mean of the outermost pixels."""
    edge = np.ones(pixels_HWC.shape[:2], dtype=bool)
    edge[BORDER:-BORDER, BORDER:-BORDER] = False
    mean = pixels_HWC[edge].mean(axis=0)
    return min(COLOURS, key=lambda colour: float(np.abs(mean - COLOURS[colour]).sum()))


def nearest_object(pixels_HWC: Pixels, pictures: dict[str, Image.Image], colour: str) -> str:
    """Return the object whose picture on that background differs least in its box means."""
    seen, side = box_means(pixels_HWC), len(pixels_HWC)

    def distance(name: str) -> float:
        expected = compose(pictures[name], COLOURS[colour], side, Placement(OBJECT_FILL))
        return float(np.abs(box_means(expected) - seen).mean())

    return min(pictures, key=distance)


def is_right(pixels_HWC: Pixels, asked: Asked, pictures: dict[str, Image.Image]) -> tuple[bool, bool]:
    """Return whether the background and whether the object is what was asked for."""
    return (
        border_colour(pixels_HWC) == asked.colour,
        nearest_object(pixels_HWC, pictures, asked.colour) == asked.name,
    )


def sheet(drawn: Sequence[Pixels], columns: int = 8) -> Image.Image:
    """Lay pictures of one size side by side; their number is a multiple of `columns`."""
    rows = [np.concatenate(drawn[start : start + columns], axis=1) for start in range(0, len(drawn), columns)]
    return Image.fromarray(np.concatenate(rows, axis=0))
