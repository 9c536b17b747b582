"""FLUX.1 [dev] and [schnell] against Diffusers' FluxPipeline, FluxImg2ImgPipeline and FluxInpaintPipeline on the same random folder."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.flux.pipeline_flux_img2img import FluxImg2ImgPipeline
from diffusers.pipelines.flux.pipeline_flux_inpaint import FluxInpaintPipeline

from models.checkpoints.files import write_tensors
from models.checkpoints.single_file import load_single_file
from models.errors import MalformedConfig, UnsupportedInput
from models.flow.flux1 import Flux1
from models.pipeline.components import Components
from models.pipeline.flux1 import Flux1Components
from models.pipeline.loading import load_components
from models.pipeline.request import PictureInputs
from tests.fixtures.tiny_models import Oracle, tiny_flux1_folder, tiny_klein_folder
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


@dataclass(frozen=True)
class Case:
    """What is asked of both."""

    prompt: str = PROMPT
    negative_prompt: str | None = None
    true_cfg_scale: float = 1.0
    seed: int = 7
    num_steps: int = 4
    width: int = 64
    height: int = 64
    guidance: float = 3.5
    text_length: int = TEXT_LENGTH


@dataclass(frozen=True, eq=False)
class Pair:
    oracle: Oracle
    ours: Components

    def theirs(self, case: Case) -> Pixels:
        return theirs(
            self.oracle,
            prompt=case.prompt,
            negative_prompt=case.negative_prompt,
            true_cfg_scale=case.true_cfg_scale,
            generator=generator(case.seed),
            num_inference_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance_scale=case.guidance,
            max_sequence_length=case.text_length,
        )

    def drawn(self, case: Case, **inputs: Any) -> Pixels:
        return ours(
            self.ours,
            case.prompt,
            negative_prompt=case.negative_prompt,
            true_cfg_scale=case.true_cfg_scale,
            seed=case.seed,
            num_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance=case.guidance,
            max_sequence_length=case.text_length,
            **inputs,
        )


def pair(folder: Path, dtype: torch.dtype = torch.float32) -> Pair:
    return Pair(loaded(FluxPipeline.from_pretrained, folder, dtype), load_components(folder, dtype=dtype))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("flux1")
    return {
        "dev": tiny_flux1_folder(root / "dev", seed=0, variant="dev"),
        "schnell": tiny_flux1_folder(root / "schnell", seed=1, variant="schnell"),
    }


@pytest.fixture(scope="module")
def dev(folders: dict[str, Path]) -> Pair:
    return pair(folders["dev"])


@pytest.fixture(scope="module")
def schnell(folders: dict[str, Path]) -> Pair:
    return pair(folders["schnell"])


@pytest.fixture(scope="module")
def dev_bfloat16(folders: dict[str, Path]) -> Pair:
    return pair(folders["dev"], torch.bfloat16)


CHANGES = {
    "prompt": Case(prompt=OTHER_PROMPT),
    "seed": Case(seed=8),
    "guidance": Case(guidance=9.0),
    "true cfg": Case(negative_prompt=OTHER_PROMPT, true_cfg_scale=4.0),
    "text length": Case(text_length=16),
    "steps": Case(num_steps=7),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize(("which", "bound"), [("dev", 1), ("schnell", 1), ("dev_bfloat16", 2)])
def test_pictures_equal_diffusers_wherever_it_sees(
    request: pytest.FixtureRequest, which: str, bound: int, change: str
) -> None:
    both: Pair = request.getfixturevalue(which)
    expected = both.theirs(CHANGES[change])
    moved = largest(expected, both.theirs(Case()))
    assert moved >= SEES if (which, change) != ("schnell", "guidance") else moved == 0
    assert largest(both.drawn(CHANGES[change]), expected) <= bound


@pytest.mark.parametrize("case", [Case(width=96, height=48), Case(width=16, height=176, num_steps=2)])
@pytest.mark.parametrize("which", ["dev", "schnell"])
def test_pictures_equal_diffusers_at_other_sizes(request: pytest.FixtureRequest, which: str, case: Case) -> None:
    both: Pair = request.getfixturevalue(which)
    expected = both.theirs(case)
    assert largest(expected, both.theirs(replace(case, prompt=OTHER_PROMPT))) >= SEES
    assert largest(both.drawn(case), expected) <= 1


def test_a_negative_prompt_without_its_scale_changes_nothing(dev: Pair) -> None:
    assert largest(dev.drawn(Case(negative_prompt=OTHER_PROMPT)), dev.drawn(Case())) == 0


SOURCE = picture(96, 64, 3)


@pytest.mark.parametrize("strength", [0.6, 0.3, 1.0])
def test_image_to_image_equals_diffusers(folders: dict[str, Path], dev: Pair, strength: float) -> None:
    """Its latents are drawn from the autoencoder's posterior, before the noise."""
    oracle = loaded(FluxImg2ImgPipeline.from_pretrained, folders["dev"])

    def expected(prompt: str = PROMPT) -> Pixels:
        return theirs(
            oracle,
            prompt=prompt,
            image=SOURCE,
            strength=strength,
            generator=generator(),
            num_inference_steps=6,
            guidance_scale=3.5,
            width=96,
            height=64,
            max_sequence_length=TEXT_LENGTH,
        )

    assert largest(expected(), expected(OTHER_PROMPT)) >= SEES
    case = Case(num_steps=6, width=96, height=64)
    assert largest(dev.drawn(case, strength=strength, inputs=PictureInputs(image=SOURCE)), expected()) <= 1


@pytest.mark.parametrize("left", [0.5, 0.2])
def test_inpainting_equals_diffusers(folders: dict[str, Path], dev: Pair, left: float) -> None:
    oracle = loaded(FluxInpaintPipeline.from_pretrained, folders["dev"])

    def expected(left: float) -> Pixels:
        return theirs(
            oracle,
            prompt=PROMPT,
            image=SOURCE,
            mask_image=mask(96, 64, left=left),
            strength=0.8,
            generator=generator(),
            num_inference_steps=6,
            guidance_scale=3.5,
            width=96,
            height=64,
            max_sequence_length=TEXT_LENGTH,
        )

    assert largest(expected(left), expected(0.8)) >= SEES
    inputs = PictureInputs(image=SOURCE, mask=mask(96, 64, left=left))
    drawn = dev.drawn(Case(num_steps=6, width=96, height=64), strength=0.8, inputs=inputs)
    assert largest(drawn, expected(left)) <= 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (PictureInputs(references=(SOURCE,)), "references: 1 are given; dev takes none"),
        (PictureInputs(control=SOURCE), "control: dev follows no edges or depth"),
        (PictureInputs(mask=mask(96, 64)), "mask: a mask needs the image"),
        (PictureInputs(image=SOURCE, mask=mask(64, 64)), "mask is 64 x 64 pixels, its image 96 x 64"),
        (PictureInputs(image_prompts=(SOURCE,)), "image_prompt: there is no 'flux-redux-dev' beside"),
    ],
)
def test_pictures_that_the_network_does_not_take_are_refused(dev: Pair, inputs: PictureInputs, message: str) -> None:
    with pytest.raises(UnsupportedInput, match=message):
        dev.drawn(Case(), inputs=inputs)


@pytest.mark.parametrize("strength", [0.0, 1.5])
def test_a_strength_outside_its_range_is_refused(dev: Pair, strength: float) -> None:
    with pytest.raises(UnsupportedInput, match="is not above 0 and at most 1"):
        dev.drawn(Case(), strength=strength, inputs=PictureInputs(image=SOURCE))


def test_a_prompt_longer_than_the_network_reads_is_refused(schnell: Pair) -> None:
    with pytest.raises(UnsupportedInput, match="max_sequence_length 512 is not within what schnell reads, 1 to 256"):
        schnell.drawn(Case(text_length=512))


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_the_same_weights_under_bfls_names_draw_the_same_picture(dev: Pair, tmp_path: Path, prefix: str) -> None:
    assert isinstance(dev.ours, Flux1Components)
    path = tmp_path / "anything.safetensors"
    write_tensors(path, {prefix + name: part for name, part in dev.ours.transformer.state_dict().items()})
    transformer = load_single_file(path)
    assert isinstance(transformer, Flux1)
    from_file = Pair(dev.oracle, replace(dev.ours, transformer=transformer))
    assert largest(from_file.drawn(Case()), dev.drawn(Case())) == 0


def test_an_autoencoder_of_another_family_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["dev"], tmp_path / "mixed")
    shutil.rmtree(folder / "vae")
    shutil.copytree(tiny_klein_folder(tmp_path / "klein") / "vae", folder / "vae")
    with pytest.raises(MalformedConfig, match="holds an AutoencoderFlux2; the transformer needs an AutoencoderFlux1"):
        load_components(folder)
