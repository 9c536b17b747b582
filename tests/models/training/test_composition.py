"""Training pictures show what their captions say, and the score that judges drawings recognises them."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.training.composition import OBJECT_FILL, Placement, all_captions, captions, compose
from models.training.evaluation import Asked, border_colour, draw_prompts, is_right
from models.training.vocabulary import COLOURS, OBJECTS

SIDE = 128


def disc(colour: tuple[int, int, int], size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((0, 0, size[0] - 1, size[1] - 1), fill=(*colour, 255))
    return picture


@pytest.mark.parametrize("size", [(256, 200), (90, 256), (33, 33)])
def test_an_object_is_centred_and_fills_70_to_95_percent_of_the_side(size: tuple[int, int]) -> None:
    drawn = compose(disc((250, 120, 0), size), COLOURS["blue"], SIDE, Placement(OBJECT_FILL))
    rows, columns = np.nonzero((drawn != COLOURS["blue"]).any(axis=2))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    assert 0.70 * SIDE <= max(height, width) <= 0.95 * SIDE
    assert height / width == pytest.approx(size[1] / size[0], rel=0.06)
    assert abs(float(rows.min() + rows.max() + 1) / 2 - SIDE / 2) <= 1
    assert abs(float(columns.min() + columns.max() + 1) / 2 - SIDE / 2) <= 1


@pytest.mark.parametrize("colour", sorted(COLOURS))
def test_the_border_has_the_colour_of_the_caption(colour: str) -> None:
    drawn = compose(disc((250, 120, 0), (200, 200)), COLOURS[colour], SIDE, Placement(OBJECT_FILL))
    assert border_colour(drawn) == colour
    assert tuple(drawn[0, 0]) == COLOURS[colour]


def test_the_score_tells_objects_apart() -> None:
    pictures = {"disc": disc((250, 120, 0), (200, 200)), "bar": disc((250, 120, 0), (40, 200))}
    drawn = compose(pictures["bar"], COLOURS["green"], SIDE, Placement(0.8, (2, 1)))
    assert is_right(drawn, Asked("bar", "green"), pictures) == (True, True)
    assert is_right(drawn, Asked("disc", "green"), pictures) == (True, False)
    assert not is_right(drawn, Asked("bar", "red"), pictures)[0]


def test_prompts_depend_on_the_seed_alone() -> None:
    one = draw_prompts(OBJECTS, list(COLOURS), 24, seed=0)
    assert one == draw_prompts(list(reversed(OBJECTS)), sorted(COLOURS), 24, seed=0)
    assert one != draw_prompts(OBJECTS, list(COLOURS), 24, seed=1)


def test_captions_name_the_colour_unless_it_is_the_default() -> None:
    assert captions("red apple", "blue")[0] == "red apple on a blue background"
    assert all("blue" in text for text in captions("red apple", "blue"))
    assert "red apple" in captions("red apple", "white")
    assert len(set(all_captions(OBJECTS))) == len(all_captions(OBJECTS))


def test_the_vocabulary_is_what_was_promised() -> None:
    assert len(OBJECTS) >= 100
    assert list(OBJECTS) == sorted(set(OBJECTS))
    assert {"red apple", "rocket", "sailboat", "mushroom"} <= set(OBJECTS)
    assert {"white", "black", "red", "green", "blue", "yellow"} <= set(COLOURS)
