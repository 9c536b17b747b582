"""FLUX.1 Fill, Canny, Kontext and Redux against Diffusers' pipelines on the same random folders."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.flux.pipeline_flux_control import FluxControlPipeline
from diffusers.pipelines.flux.pipeline_flux_fill import FluxFillPipeline
from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
from diffusers.pipelines.flux.pipeline_flux_prior_redux import FluxPriorReduxPipeline
from PIL import Image, ImageOps

from models.errors import UnsupportedInput
from models.pipeline.components import Components
from models.pipeline.loading import load_components, load_image_prompter
from models.pipeline.request import Margins, PictureInputs
from models.vision.canny import edges
from tests.fixtures.tiny_models import Oracle, tiny_flux1_folder, tiny_redux_folder
from tests.models.pipeline.parity import (
    OTHER_PROMPT,
    PROMPT,
    SEES,
    Pixels,
    generator,
    largest,
    loaded,
    mask,
    ours,
    picture,
    theirs,
)

TEXT_LENGTH = 32
COMMON: dict[str, Any] = {"num_inference_steps": 4, "max_sequence_length": TEXT_LENGTH}
OURS: dict[str, Any] = {"num_steps": 4, "max_sequence_length": TEXT_LENGTH, "seed": 7}
SOURCE = picture(96, 64, 3)
OTHER = ImageOps.invert(SOURCE.transpose(Image.Transpose.ROTATE_180))


@pytest.fixture(scope="module", params=[0, pytest.param(1, marks=pytest.mark.prove)])
def seed(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory, seed: int) -> tuple[Oracle, Components]:
    folder = tiny_flux1_folder(tmp_path_factory.mktemp("fill") / "fill", seed=seed, variant="fill")
    return loaded(FluxFillPipeline.from_pretrained, folder), load_components(folder)


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory, seed: int) -> tuple[Oracle, Components]:
    folder = tiny_flux1_folder(tmp_path_factory.mktemp("control") / "control", seed=seed, variant="control")
    return loaded(FluxControlPipeline.from_pretrained, folder), load_components(folder)


@pytest.fixture(scope="module")
def kontext(tmp_path_factory: pytest.TempPathFactory, seed: int) -> tuple[Oracle, Components]:
    folder = tiny_flux1_folder(tmp_path_factory.mktemp("kontext") / "kontext", seed=seed, variant="kontext")
    return loaded(FluxKontextPipeline.from_pretrained, folder), load_components(folder)


FILLS: dict[str, dict[str, object]] = {
    "plain": {},
    "mask": {"mask_image": mask(96, 64, left=0.2)},
    "image": {"image": OTHER},
    "prompt": {"prompt": OTHER_PROMPT},
    "guidance": {"guidance_scale": 4.0},
}


@pytest.mark.parametrize("name", sorted(FILLS))
def test_fill_equals_diffusers(fill: tuple[Oracle, Components], name: str) -> None:
    oracle, components = fill
    asked = {"prompt": PROMPT, "image": SOURCE, "mask_image": mask(96, 64), "guidance_scale": 30.0} | FILLS[name]
    other = asked | (
        FILLS["prompt"] if name == "plain" else {"image": SOURCE, "mask_image": mask(96, 64)} | FILLS["plain"]
    )

    def expected(arguments: dict[str, object]) -> Pixels:
        return theirs(oracle, width=96, height=64, generator=generator(), **COMMON, **arguments)

    baseline = {"prompt": PROMPT, "image": SOURCE, "mask_image": mask(96, 64), "guidance_scale": 30.0}
    moved = largest(expected(asked), expected(other if name == "plain" else baseline))
    assert moved >= SEES
    inputs = PictureInputs(image=asked["image"], mask=asked["mask_image"])  # pyright: ignore[reportArgumentType] - pictures
    drawn = ours(
        components, str(asked["prompt"]), width=96, height=64, guidance=asked["guidance_scale"], inputs=inputs, **OURS
    )
    assert largest(drawn, expected(asked)) <= 1


def test_what_is_transparent_is_filled(fill: tuple[Oracle, Components]) -> None:
    _, components = fill
    see_through = SOURCE.convert("RGBA")
    see_through.putalpha(mask(96, 64).point([255 - level for level in range(256)]))
    by_alpha = ours(components, PROMPT, width=96, height=64, inputs=PictureInputs(image=see_through), **OURS)
    by_mask = ours(
        components, PROMPT, width=96, height=64, inputs=PictureInputs(image=SOURCE, mask=mask(96, 64)), **OURS
    )
    assert np.array_equal(by_alpha, by_mask)


def test_margins_are_a_larger_canvas_with_its_frame_masked(fill: tuple[Oracle, Components]) -> None:
    _, components = fill
    canvas, frame = Image.new("RGB", (128, 96), (127, 127, 127)), Image.new("L", (128, 96), 255)
    canvas.paste(SOURCE, (32, 16))
    frame.paste(0, (32, 16, 128, 80))
    margins = Margins(top=16, bottom=16, left=32, right=0)
    outpainted = ours(
        components, PROMPT, width=128, height=96, inputs=PictureInputs(image=SOURCE, margins=margins), **OURS
    )
    filled = ours(components, PROMPT, width=128, height=96, inputs=PictureInputs(image=canvas, mask=frame), **OURS)
    assert np.array_equal(outpainted, filled)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (PictureInputs(), "image: fill needs a picture to fill"),
        (PictureInputs(image=SOURCE), "mask: fill fills what a mask covers, and there is none"),
    ],
)
def test_fill_without_its_pictures_is_refused(
    fill: tuple[Oracle, Components], inputs: PictureInputs, message: str
) -> None:
    with pytest.raises(UnsupportedInput, match=message):
        ours(fill[1], PROMPT, inputs=inputs)


@pytest.mark.parametrize("size", [(96, 64), (48, 112)])
def test_canny_equals_diffusers_given_the_same_edges(control: tuple[Oracle, Components], size: tuple[int, int]) -> None:
    oracle, components = control
    width, height = size
    resized = np.asarray(SOURCE.resize(size, Image.Resampling.LANCZOS))
    found = Image.fromarray(edges(resized, 50, 200))

    def expected(image: Image.Image) -> Pixels:
        asked = {"prompt": PROMPT, "control_image": image, "guidance_scale": 30.0, "width": width, "height": height}
        return theirs(oracle, generator=generator(), **COMMON, **asked)

    assert largest(expected(found), expected(Image.new("RGB", size))) >= SEES
    sized = {"width": width, "height": height, "guidance": 30.0, **OURS}
    for inputs in (PictureInputs(control_source=SOURCE), PictureInputs(control=found)):
        assert largest(ours(components, PROMPT, inputs=inputs, **sized), expected(found)) <= 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (PictureInputs(), "control: control needs edges or depth to follow"),
        (PictureInputs(control=SOURCE, image=SOURCE), "image: control draws along edges or depth"),
    ],
)
def test_control_without_its_picture_is_refused(
    control: tuple[Oracle, Components], inputs: PictureInputs, message: str
) -> None:
    with pytest.raises(UnsupportedInput, match=message):
        ours(control[1], PROMPT, inputs=inputs)


KONTEXT_SIZE: dict[str, Any] = {"width": 48, "height": 64}


def test_kontext_equals_diffusers(kontext: tuple[Oracle, Components]) -> None:
    oracle, components = kontext

    def expected(image: Image.Image | None, prompt: str = PROMPT) -> Pixels:
        asked = {"prompt": prompt, "image": image, "guidance_scale": 2.5, "max_area": 48 * 64, **KONTEXT_SIZE}
        return theirs(oracle, generator=generator(), **{**COMMON, "num_inference_steps": 2}, **asked)

    edited = expected(SOURCE)
    assert largest(edited, expected(Image.new("RGB", (64, 96), "white"))) >= SEES
    assert largest(edited, expected(SOURCE, OTHER_PROMPT)) >= SEES
    sized = {"guidance": 2.5, **KONTEXT_SIZE, **OURS, "num_steps": 2}
    assert largest(ours(components, PROMPT, inputs=PictureInputs(references=(SOURCE,)), **sized), edited) <= 1
    assert largest(ours(components, PROMPT, **sized), expected(None)) <= 1


def test_redux_equals_diffusers(tmp_path: Path) -> None:
    folder, redux = (
        tiny_flux1_folder(tmp_path / "dev", seed=2, variant="dev"),
        tiny_redux_folder(tmp_path / "redux", seed=3),
    )
    oracle = loaded(FluxPipeline.from_pretrained, folder)
    encoders = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
    read = partial(FluxPriorReduxPipeline.from_pretrained, **{name: getattr(oracle, name) for name in encoders})
    prior = loaded(read, redux)
    components, prompters = load_components(folder), {"flux-redux-dev": load_image_prompter(redux)}

    def expected(*images: Image.Image) -> Pixels:
        read = prior(list(images), prompt=[PROMPT] * len(images))
        asked = {"prompt_embeds": read.prompt_embeds, "pooled_prompt_embeds": read.pooled_prompt_embeds}
        sized = {"width": 64, "height": 48, "guidance_scale": 2.5, "num_inference_steps": 4}
        return theirs(oracle, generator=generator(), **sized, **asked)

    sized: dict[str, Any] = {
        "width": 64,
        "height": 48,
        "guidance": 2.5,
        "num_steps": 4,
        "seed": 7,
        "max_sequence_length": 512,
    }
    for images in ((SOURCE,), (SOURCE, OTHER)):
        assert largest(expected(*images), expected(OTHER)) >= SEES
        drawn = ours(components, PROMPT, prompters, inputs=PictureInputs(image_prompts=images), **sized)
        assert largest(drawn, expected(*images)) <= 1


def test_what_is_drawn_does_not_depend_on_torchs_global_generator(fill: tuple[Oracle, Components]) -> None:
    _, components = fill
    draw: Callable[[], Pixels] = lambda: ours(  # noqa: E731 - drawn twice, with the global generator disturbed between
        components, PROMPT, width=96, height=64, inputs=PictureInputs(image=SOURCE, mask=mask(96, 64)), **OURS
    )
    first = draw()
    torch.randn(3)
    assert np.array_equal(draw(), first)
