"""Comparison with Diffusers' pipelines. It counts only where the oracle sees: its own picture moves by at least 16 of 255 when the
input under test changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.pipeline.components import Components
from models.pipeline.controls import NO_CONTROLS, Controls
from models.pipeline.drawing import draw
from models.pipeline.image_prompts import NO_PROMPTERS, Prompters
from models.pipeline.request import request_for
from tests.fixtures.tiny_models import Oracle

SEES = 16
PROMPT, OTHER_PROMPT = "a red apple on a blue background", "one green sailboat"

Pixels = NDArray[np.int64]


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def loaded(pipeline: Callable[..., Oracle], folder: Path, dtype: torch.dtype = torch.float32) -> Oracle:
    """An oracle without its progress bars."""
    oracle = pipeline(folder, dtype=dtype)
    oracle.set_progress_bar_config(disable=True)
    return oracle


def theirs(oracle: Oracle, **arguments: Any) -> Pixels:
    """The oracle's first picture."""
    return np.asarray(oracle(**arguments).images[0]).astype(np.int64)


def ours(
    components: Components,
    prompt: str,
    prompters: Prompters = NO_PROMPTERS,
    beside: Controls = NO_CONTROLS,
    **arguments: Any,
) -> Pixels:
    """Our picture, drawn beside ControlNets; arguments are those of request_for."""
    request = request_for(components.defaults, prompt, **arguments)
    return np.asarray(draw(components, request, prompters, controls=beside)).astype(np.int64)


def largest(one: Pixels, other: Pixels) -> int:
    """The largest difference of a channel of a pixel."""
    assert one.shape == other.shape
    return int(np.abs(one - other).max())


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with edges, large areas and noise: nothing about it is symmetric."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns * 255 / width, rows * 255 / height, (columns + 2 * rows) % 97 * 2], axis=-1)
    pixels[height // 4 : height // 2, width // 3 : width // 2] = random.integers(0, 256, 3)
    pixels += random.normal(0, 12, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def mask(width: int, height: int, *, left: float = 0.5, top: float = 0.25) -> Image.Image:
    """White from (left, top) on, black before."""
    levels = np.zeros((height, width), np.uint8)
    levels[int(height * top) :, int(width * left) :] = 255
    return Image.fromarray(levels)
