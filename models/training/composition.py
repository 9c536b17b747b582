"""Training pictures and their captions: one object in the middle of a plain background.

All pictures are squares of RGB bytes, H x W x 3.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.training.vocabulary import COLOURS, DEFAULT_COLOUR

# The longer side of an object as a share of the picture's side.
OBJECT_FILL = 0.84


@dataclass(frozen=True)
class Placement:
    """How large an object is and where it lies.

    Attributes:
        fill: the object's longer side over the picture's, in (0, 1].
        shift: of the object's centre from the picture's, in pixels, right and down.
    """

    fill: float
    shift: tuple[int, int] = (0, 0)


def compose(picture: Image.Image, colour: tuple[int, int, int], side: int, placement: Placement) -> NDArray[np.uint8]:
    """Lay an object (RGBA) over a colour.

    Args:
        picture: the object, without margins.
        colour: of the background, RGB.
        side: of the result, in pixels.
        placement: of the object.
    """
    scale = placement.fill * side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    resized = picture.resize(size, Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (side, side), colour)
    corner = tuple((side - length) // 2 + shift for length, shift in zip(size, placement.shift, strict=True))
    canvas.paste(resized, (corner[0], corner[1]), resized)
    return np.asarray(canvas, dtype=np.uint8)


def captions(name: str, colour: str) -> tuple[str, ...]:
    """Return what people may write to get this picture, the plainest form first."""
    article = "an" if colour[0] in "aeiou" else "a"
    plain = f"{name} on {article} {colour} background"
    forms = (plain, f"{name} on a {colour} background", f"a {plain}", f"{name}, {colour} background")
    bare = (name, f"a {name}") if colour == DEFAULT_COLOUR else ()
    return tuple(dict.fromkeys(forms + bare))


def all_captions(names: tuple[str, ...]) -> list[str]:
    """Return every caption of every object on every background."""
    return [caption for name in names for colour in COLOURS for caption in captions(name, colour)]
