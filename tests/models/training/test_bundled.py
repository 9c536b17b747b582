"""flux-nano as it ships: small, complete, drawing what it is asked for, and the same picture in Diffusers."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
from safetensors import safe_open

import models.bundled
from models.pipeline.components import Components
from models.pipeline.drawing import draw
from models.pipeline.loading import load_components
from models.pipeline.request import request_for
from models.training.evaluation import border_colour
from models.training.vocabulary import COLOURS, OBJECTS

FOLDER = Path(models.bundled.__path__[0]) / "flux-nano"
MAX_PARAMETERS, MAX_BYTES = 11_000_000, 24_000_000


@pytest.fixture(scope="module")
def nano() -> Iterator[Components]:
    threads = torch.get_num_threads()
    yield load_components(FOLDER)
    torch.set_num_threads(threads)


def test_it_is_small_and_bfloat16_on_disk() -> None:
    count = 0
    for path in FOLDER.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                part = file.get_slice(name)
                count += math.prod(part.get_shape())
                assert part.get_dtype() == "BF16" or name.endswith("num_batches_tracked"), name
    assert 1_000_000 < count <= MAX_PARAMETERS
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= MAX_BYTES


def test_its_defaults_are_its_own() -> None:
    defaults = json.loads((FOLDER / "generation.json").read_text(encoding="utf-8"))
    assert defaults["dtype"] == "float32"
    assert (defaults["width"], defaults["height"]) == (128, 128)
    assert defaults["num_inference_steps"] <= 20
    assert defaults["max_sequence_length"] <= 32


def test_its_card_lists_every_object_and_colour() -> None:
    card = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    assert [name for name in (*OBJECTS, *COLOURS) if name not in card] == []


@pytest.mark.parametrize("colour", ["black", "blue", "green", "red", "white", "yellow"])
def test_backgrounds_have_the_colour_that_was_asked_for(nano: Components, colour: str) -> None:
    drawn = np.asarray(draw(nano, request_for(nano.defaults, f"mushroom on a {colour} background", seed=7)))
    assert drawn.shape == (128, 128, 3)
    assert border_colour(drawn) == colour


def test_case_does_not_matter_and_seeds_do(nano: Components) -> None:
    lower, upper, other = (
        np.asarray(draw(nano, request_for(nano.defaults, text, seed=seed, num_steps=4)))
        for text, seed in (("red apple", 1), ("Red Apple", 1), ("red apple", 2))
    )
    assert np.array_equal(lower, upper)
    assert not np.array_equal(lower, other)


def test_diffusers_draws_the_same_picture(nano: Components) -> None:
    pipeline: Any = Flux2KleinPipeline.from_pretrained(str(FOLDER), torch_dtype=torch.float32)  # annotations too narrow
    pipeline.set_progress_bar_config(disable=True)
    defaults = nano.defaults

    def theirs(prompt: str) -> np.ndarray:
        image = pipeline(
            prompt=prompt,
            width=defaults.width,
            height=defaults.height,
            num_inference_steps=defaults.num_inference_steps,
            guidance_scale=defaults.guidance_scale,
            max_sequence_length=defaults.max_sequence_length,
            text_encoder_out_layers=defaults.text_encoder_out_layers,
            generator=torch.Generator().manual_seed(11),
        ).images[0]
        return np.asarray(image).astype(np.int16)

    rocket, sailboat = theirs("rocket on a blue background"), theirs("sailboat on a red background")
    assert np.abs(rocket - sailboat).max() >= 16, "the case is blind to its prompt"
    ours = np.asarray(draw(nano, request_for(nano.defaults, "rocket on a blue background", seed=11))).astype(np.int16)
    assert np.abs(ours - rocket).max() <= 2
