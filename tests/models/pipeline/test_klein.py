"""FLUX.2 klein, distilled and base, against Diffusers' Flux2KleinPipeline and Flux2KleinInpaintPipeline on the same random folder."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein_inpaint import Flux2KleinInpaintPipeline
from PIL import Image

from models.checkpoints.flux2 import save_transformer
from models.errors import MalformedConfig, NonFiniteImage, UnknownKeys, UnsupportedInput, UnsupportedSize
from models.flow.flux2 import Flux2, Flux2Params
from models.noise import generator_of
from models.pipeline.components import Components
from models.pipeline.conditions import start
from models.pipeline.denoising import StepInput, advance, predict
from models.pipeline.drawing import decode, draw, encode_request
from models.pipeline.flux2 import Flux2Components
from models.pipeline.loading import load_components
from models.pipeline.pictures import pixels
from models.pipeline.request import PictureInputs, request_for
from tests.fixtures.tiny_models import MAX_LENGTH, OUT_LAYERS, Oracle, tiny_klein_folder
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


@dataclass(frozen=True)
class Case:
    """What is asked of both."""

    prompt: str = PROMPT
    negative_prompt: str = ""
    seed: int = 7
    num_steps: int = 4
    width: int = 64
    height: int = 64
    guidance: float = 3.0
    text_length: int = MAX_LENGTH


@dataclass(frozen=True, eq=False)
class Pair:
    """The same folder in both implementations; pictures are kept, because several tests look at the same ones."""

    oracle: Oracle
    ours: Components

    @cache  # noqa: B019 (a pair lives as long as this module)
    def plain(self, case: Case) -> Pixels:
        return self.theirs(case)

    def theirs(self, case: Case, images: tuple[Image.Image, ...] = ()) -> Pixels:
        length = {"max_sequence_length": case.text_length, "text_encoder_out_layers": OUT_LAYERS}
        negative, _ = self.oracle.encode_prompt(case.negative_prompt, **length)
        return theirs(
            self.oracle,
            prompt=case.prompt,
            image=list(images) or None,
            negative_prompt_embeds=negative,
            generator=generator(case.seed),
            num_inference_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance_scale=case.guidance,
            **length,
        )

    def drawn(self, case: Case, images: tuple[Image.Image, ...] = ()) -> Pixels:
        return ours(
            self.ours,
            case.prompt,
            negative_prompt=case.negative_prompt,
            seed=case.seed,
            num_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance=case.guidance,
            max_sequence_length=case.text_length,
            inputs=PictureInputs(references=images),
        )


def pair(folder: Path, dtype: torch.dtype) -> Pair:
    return Pair(loaded(Flux2KleinPipeline.from_pretrained, folder, dtype), load_components(folder, dtype=dtype))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("folders")
    return {
        "base": tiny_klein_folder(root / "base"),
        "distilled": tiny_klein_folder(root / "distilled", seed=1, distilled=True),
    }


@pytest.fixture(scope="module")
def base(folders: dict[str, Path]) -> Pair:
    return pair(folders["base"], torch.float32)


@pytest.fixture(scope="module")
def distilled(folders: dict[str, Path]) -> Pair:
    return pair(folders["distilled"], torch.float32)


@pytest.fixture(scope="module")
def base_bfloat16(folders: dict[str, Path]) -> Pair:
    return pair(folders["base"], torch.bfloat16)


@pytest.fixture(scope="module")
def distilled_bfloat16(folders: dict[str, Path]) -> Pair:
    return pair(folders["distilled"], torch.bfloat16)


CHANGES = {
    "prompt": Case(prompt=OTHER_PROMPT),
    "seed": Case(seed=8),
    "guidance": Case(guidance=5.0),
    "no guidance": Case(guidance=1.0),
    "negative prompt": Case(negative_prompt=OTHER_PROMPT),
    "text length": Case(text_length=20),
    "steps": Case(num_steps=7),
    "a prompt that is cut": Case(prompt="a rocket over the sea " * 9),
}
GUIDED = {"guidance", "no guidance", "negative prompt"}
SIZES = [Case(width=96), Case(width=48, height=128, num_steps=6), Case(width=160, height=16, num_steps=1)]


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize(
    ("which", "bound"), [("base", 1), ("distilled", 1), ("base_bfloat16", 2), ("distilled_bfloat16", 2)]
)
def test_pictures_equal_diffusers_wherever_it_sees(
    request: pytest.FixtureRequest, which: str, bound: int, change: str
) -> None:
    both: Pair = request.getfixturevalue(which)
    if which.startswith("distilled") and change in GUIDED:
        assert np.array_equal(both.drawn(CHANGES[change]), both.drawn(Case()))
        return
    expected = both.plain(CHANGES[change])
    assert largest(expected, both.plain(Case())) >= SEES
    assert largest(both.drawn(CHANGES[change]), expected) <= bound


@pytest.mark.parametrize("case", SIZES, ids=lambda case: f"{case.width}x{case.height}")
@pytest.mark.parametrize(("which", "bound"), [("base", 1), ("distilled", 1), ("base_bfloat16", 2)])
def test_pictures_equal_diffusers_at_other_sizes(
    request: pytest.FixtureRequest, which: str, bound: int, case: Case
) -> None:
    both: Pair = request.getfixturevalue(which)
    expected = both.theirs(case)
    assert expected.shape == (case.height, case.width, 3)
    assert largest(expected, both.theirs(replace(case, prompt=OTHER_PROMPT))) >= SEES
    assert largest(both.drawn(case), expected) <= bound


def test_the_same_request_is_the_same_picture_every_time(base: Pair) -> None:
    assert np.array_equal(base.drawn(Case()), base.drawn(Case()))


def begun(components: Components, **arguments: object) -> StepInput:
    request = request_for(components.defaults, PROMPT, **arguments)  # pyright: ignore[reportArgumentType] - fields of the request
    first = start(components, request, *encode_request(components, request))
    return StepInput(first.latents_LC, first.conditions, 0)


def test_a_row_does_not_depend_on_its_neighbours(base: Pair) -> None:
    rows = [
        begun(base.ours, seed=1),
        begun(
            base.ours, seed=2, width=96, height=32, guidance=1.0, inputs=PictureInputs(references=(picture(64, 80),))
        ),
        begun(base.ours, seed=3, guidance=6.0, num_steps=9),
    ]
    together = predict(base.ours, rows)
    for one, velocity_LC in zip(rows, together, strict=True):
        assert velocity_LC.shape == one.latents_LC.shape
        torch.testing.assert_close(predict(base.ours, [one])[0], velocity_LC, atol=2e-4, rtol=0)


def test_stages_driven_by_hand_make_the_picture_that_draw_makes(base: Pair) -> None:
    row = begun(base.ours, seed=7, num_steps=4, guidance=3.0)
    for step in range(4):
        (latents_LC,) = advance(base.ours, [replace(row, step=step)])
        row = replace(row, latents_LC=latents_LC)
    assert np.array_equal(decode(base.ours, row.latents_LC, 64, 64), base.drawn(Case()))


def test_defaults_come_from_the_folder_and_steps_are_reported(base: Pair) -> None:
    reports: list[tuple[int, int]] = []
    request = request_for(base.ours.defaults, PROMPT, seed=7)
    image = draw(base.ours, request, after_step=lambda done, total: reports.append((done, total)))
    assert np.array_equal(np.asarray(image), base.drawn(Case()))
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


REFERENCES = (picture(64, 80, 1), picture(129, 70, 2), picture(96, 96, 3))


@pytest.mark.parametrize(("which", "bound"), [("base", 1), ("distilled", 1), ("base_bfloat16", 2)])
@pytest.mark.parametrize("count", [1, 3])
def test_references_are_seen_as_diffusers_sees_them(
    request: pytest.FixtureRequest, which: str, bound: int, count: int
) -> None:
    both: Pair = request.getfixturevalue(which)
    case, images = Case(width=48, height=80), REFERENCES[:count]
    expected = both.theirs(case, images)
    assert largest(expected, both.theirs(case, (picture(64, 80, 9), *images[1:]))) >= SEES
    assert largest(both.drawn(case, images), expected) <= bound


def test_the_order_of_references_matters_and_is_diffusers(base: Pair) -> None:
    case = Case()
    expected = base.theirs(case, REFERENCES[::-1])
    assert largest(expected, base.theirs(case, REFERENCES)) >= SEES
    assert largest(base.drawn(case, REFERENCES[::-1]), expected) <= 1


@pytest.mark.prove
def test_a_reference_beyond_a_megapixel_is_shrunk_as_diffusers_shrinks_it(base: Pair) -> None:
    case, images = Case(num_steps=1, guidance=1.0), (picture(1300, 1000),)
    assert largest(base.drawn(case, images), base.theirs(case, images)) <= 1


@pytest.mark.parametrize("size", [(63, 200), (64, 600)])
def test_references_that_nobody_can_read_are_refused(base: Pair, size: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedInput, match=f"a reference of {size[0]} x {size[1]} pixels"):
        base.drawn(Case(), (picture(*size),))


def test_more_references_than_the_network_reads_are_refused(base: Pair) -> None:
    with pytest.raises(UnsupportedInput, match="references: 9 are given; base takes at most 8"):
        base.drawn(Case(), REFERENCES * 3)


@dataclass(frozen=True)
class Edit:
    """A picture that is changed under a mask."""

    left: float = 0.5
    strength: float = 0.8
    prompt: str = PROMPT
    references: tuple[Image.Image, ...] = ()


EDITED = picture(96, 64, 5)
EDITS = {
    "plain": Edit(),
    "strength": Edit(strength=0.5),
    "all of it": Edit(strength=1.0),
    "mask": Edit(left=0.2),
    "prompt": Edit(prompt=OTHER_PROMPT),
    "reference": Edit(references=(picture(80, 64, 6),)),
}


@pytest.fixture(scope="module")
def inpainter(folders: dict[str, Path]) -> Oracle:
    return loaded(Flux2KleinInpaintPipeline.from_pretrained, folders["base"])


def inpainted(oracle: Oracle, edit: Edit) -> Pixels:
    return theirs(
        oracle,
        prompt=edit.prompt,
        image=EDITED,
        mask_image=mask(96, 64, left=edit.left),
        image_reference=list(edit.references) or None,
        strength=edit.strength,
        generator=generator(),
        num_inference_steps=5,
        guidance_scale=3.0,
        max_sequence_length=MAX_LENGTH,
        text_encoder_out_layers=OUT_LAYERS,
    )


@pytest.mark.parametrize("name", sorted(EDITS))
def test_inpainting_equals_diffusers(inpainter: Oracle, base: Pair, name: str) -> None:
    edit = EDITS[name]
    expected = inpainted(inpainter, edit)
    other = EDITS["plain"] if name != "plain" else EDITS["prompt"]
    assert largest(expected, inpainted(inpainter, other)) >= SEES
    inputs = PictureInputs(image=EDITED, mask=mask(96, 64, left=edit.left), references=edit.references)
    drawn = ours(
        base.ours,
        edit.prompt,
        seed=7,
        num_steps=5,
        width=96,
        height=64,
        guidance=3.0,
        strength=edit.strength,
        inputs=inputs,
    )
    assert largest(drawn, expected) <= 1


def test_strength_decides_how_much_of_the_picture_is_left_at_the_start(base: Pair) -> None:
    """Image to image: FLUX.2 has no such pipeline in Diffusers, so the start of the row is compared with its closed form."""
    inputs = PictureInputs(image=EDITED)
    sized = {"width": 96, "height": 64, "num_steps": 20, "seed": 7}
    clean_LC = base.ours.encode_picture(pixels(EDITED, 96, 64), None)
    noise_LC = base.ours.noise(4, 6, generator_of(7))
    for strength, num_steps in ((1.0, 20), (0.5, 10), (0.05, 1), (0.001, 1)):
        row = begun(base.ours, strength=strength, inputs=inputs, **sized)
        t = row.conditions.times[0]
        assert row.conditions.num_steps == num_steps
        torch.testing.assert_close(row.latents_LC, t * noise_LC + (1 - t) * clean_LC)
    assert torch.equal(begun(base.ours, strength=1.0, inputs=inputs, **sized).latents_LC, noise_LC)


@pytest.mark.parametrize(("width", "height"), [(63, 64), (64, 8), (100000, 65)])
def test_sizes_that_cannot_be_made_are_refused(base: Pair, width: int, height: int) -> None:
    with pytest.raises(UnsupportedSize):
        base.drawn(Case(width=width, height=height))


def test_a_network_that_produces_nan_makes_no_picture(base: Pair) -> None:
    latents_LC = base.ours.noise(4, 4, generator_of(0))
    latents_LC[3, 5] = float("nan")
    with pytest.raises(NonFiniteImage):
        decode(base.ours, latents_LC, 64, 64)


def test_the_revision_follows_the_weights(folders: dict[str, Path], base: Pair) -> None:
    assert load_components(folders["base"]).revision == base.ours.revision
    assert load_components(folders["distilled"]).revision != base.ours.revision


def test_the_dtype_is_the_folders_unless_told_otherwise(folders: dict[str, Path]) -> None:
    assert load_components(folders["base"]).dtype is torch.float32
    narrow = load_components(folders["base"], dtype=torch.bfloat16)
    assert isinstance(narrow, Flux2Components)
    assert {p.dtype for p in narrow.transformer.parameters()} == {torch.bfloat16}
    assert narrow.noise(4, 4, generator_of(0)).dtype is torch.bfloat16


def transformer_of(folder: Path) -> Flux2Params:
    components = load_components(folder)
    assert isinstance(components, Flux2Components)
    return components.transformer.params


def test_components_that_do_not_belong_together_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tiny_klein_folder(tmp_path / "mixed")
    params = replace(transformer_of(folder), context_in_dim=64)
    save_transformer(Flux2(params), folder / "transformer")
    with pytest.raises(MalformedConfig, match="joint_attention_dim and text features do not fit: 64 and 96"):
        load_components(folder)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = tiny_klein_folder(tmp_path / "deeper")
    params = replace(transformer_of(folder), depth=3)
    config = (folder / "transformer" / "config.json").read_text()
    save_transformer(Flux2(params), folder / "transformer")
    (folder / "transformer" / "config.json").write_text(config)
    with pytest.raises(UnknownKeys, match=r"transformer: unknown keys: transformer_blocks\.2\."):
        load_components(folder)
