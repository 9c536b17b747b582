"""Stable Diffusion 1.5 and SDXL against Diffusers' StableDiffusionPipeline and StableDiffusionXLPipeline on the same random folder."""

import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)

from models.errors import MalformedConfig, UnsupportedInput, UnsupportedSampler
from models.pipeline.components import Components
from models.pipeline.loading import load_components
from models.pipeline.request import PictureInputs, SizeConditioning
from tests.fixtures.tiny_models import Oracle
from tests.fixtures.tiny_sd import Variant, tiny_sd_folder
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

IMAGE_TO_IMAGE: dict[Variant, Any] = {
    "sd15": StableDiffusionImg2ImgPipeline,
    "sdxl": StableDiffusionXLImg2ImgPipeline,
    "refiner": StableDiffusionXLImg2ImgPipeline,
}
INPAINTING: dict[Variant, Any] = {
    "sd15": StableDiffusionInpaintPipeline,
    "sdxl": StableDiffusionXLInpaintPipeline,
    "inpainting": StableDiffusionInpaintPipeline,
}
SOURCE = picture(96, 64, 3)
PIPELINES: dict[Variant, Any] = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}


@dataclass(frozen=True)
class Case:
    """What is asked of both."""

    prompt: str = PROMPT
    negative_prompt: str | None = None
    seed: int = 7
    num_steps: int = 4
    width: int = 64
    height: int = 64
    guidance: float = 5.0


@dataclass(frozen=True, eq=False)
class Pair:
    oracle: Oracle
    ours: Components

    @cached_property
    def base(self) -> Pixels:
        """What the oracle draws when nothing is changed."""
        return self.theirs(Case())

    def theirs(self, case: Case, **more: Any) -> Pixels:
        return theirs(
            self.oracle,
            prompt=case.prompt,
            negative_prompt=case.negative_prompt,
            generator=generator(case.seed),
            num_inference_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance_scale=case.guidance,
            **more,
        )

    def drawn(self, case: Case, **more: Any) -> Pixels:
        return ours(
            self.ours,
            case.prompt,
            negative_prompt=case.negative_prompt,
            seed=case.seed,
            num_steps=case.num_steps,
            width=case.width,
            height=case.height,
            guidance=case.guidance,
            **more,
        )


def pair(folder: Path, which: Variant) -> Pair:
    return Pair(loaded(PIPELINES[which].from_pretrained, folder), load_components(folder))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Variant, Path]:
    root = tmp_path_factory.mktemp("sd")
    return {which: tiny_sd_folder(root / which, which) for which in (*PIPELINES, "refiner", "inpainting")}


@pytest.fixture(scope="module")
def pairs(folders: dict[Variant, Path]) -> dict[Variant, Pair]:
    return {which: pair(folders[which], which) for which in PIPELINES}


CHANGES = {
    "prompt": Case(prompt=OTHER_PROMPT),
    "seed": Case(seed=8),
    "guidance": Case(guidance=9.0),
    "no guidance": Case(guidance=1.0),
    "negative prompt": Case(negative_prompt=OTHER_PROMPT),
    "steps": Case(num_steps=7),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_pictures_equal_diffusers_wherever_it_sees(pairs: dict[Variant, Pair], which: Variant, change: str) -> None:
    both = pairs[which]
    expected = both.theirs(CHANGES[change])
    assert largest(expected, both.base) >= SEES
    assert largest(both.drawn(CHANGES[change]), expected) <= 1


@pytest.mark.parametrize("case", [Case(width=96, height=48), Case(width=72, height=104, num_steps=2)])
@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_pictures_equal_diffusers_at_other_sizes(pairs: dict[Variant, Pair], which: Variant, case: Case) -> None:
    both = pairs[which]
    expected = both.theirs(case)
    assert largest(expected, both.theirs(replace(case, prompt=OTHER_PROMPT))) >= SEES
    assert largest(both.drawn(case), expected) <= 1


def test_sdxl_tells_a_missing_negative_prompt_from_an_empty_one(pairs: dict[Variant, Pair]) -> None:
    both, empty = pairs["sdxl"], Case(negative_prompt="")
    expected = both.theirs(empty)
    assert largest(expected, both.base) >= SEES
    assert largest(both.drawn(empty), expected) <= 1


def test_sdxl_is_told_the_size_that_was_asked_for(pairs: dict[Variant, Pair]) -> None:
    both = pairs["sdxl"]
    size = {"original_size": (300, 200), "crops_coords_top_left": (24, 8), "target_size": (640, 512)}
    expected = both.theirs(Case(), **size)
    assert largest(expected, both.base) >= SEES
    told = SizeConditioning(original_size=(200, 300), crop=(24, 8), target_size=(512, 640))
    assert largest(both.drawn(Case(), size=told), expected) <= 1


V_PREDICTION = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@pytest.mark.parametrize(
    "scheduler",
    [
        {"prediction_type": "v_prediction"},
        V_PREDICTION,
        {"prediction_type": "sample", "timestep_spacing": "linspace"},
        {"use_karras_sigmas": True, "timestep_spacing": "linspace"},
        {"timestep_spacing": "trailing", "final_sigmas_type": "sigma_min"},
    ],
)
def test_the_scheduler_of_the_folder_is_followed(tmp_path: Path, scheduler: dict[str, Any]) -> None:
    both = pair(tiny_sd_folder(tmp_path / "folder", "sd15", **scheduler), "sd15")
    expected = both.theirs(Case())
    assert largest(expected, both.theirs(Case(prompt=OTHER_PROMPT))) >= SEES
    assert largest(both.drawn(Case()), expected) <= 1


@pytest.mark.parametrize(
    ("which", "strength"), [("sd15", 0.75), ("sd15", 1.0), ("sdxl", 0.3), ("refiner", 0.75), ("refiner", 0.3)]
)
def test_image_to_image_equals_diffusers(folders: dict[Variant, Path], which: Variant, strength: float) -> None:
    oracle, components = loaded(IMAGE_TO_IMAGE[which].from_pretrained, folders[which]), load_components(folders[which])

    def expected(prompt: str = PROMPT) -> Pixels:
        return theirs(
            oracle,
            prompt=prompt,
            image=SOURCE,
            strength=strength,
            generator=generator(),
            num_inference_steps=4,
            guidance_scale=5.0,
        )

    assert largest(expected(), expected(OTHER_PROMPT)) >= SEES
    asked: dict[str, Any] = {"strength": strength, "inputs": PictureInputs(image=SOURCE), "seed": 7, "num_steps": 4}
    drawn = ours(components, PROMPT, width=96, height=64, guidance=5.0, **asked)
    assert largest(drawn, expected()) <= 1


@pytest.mark.parametrize(
    ("which", "strength"), [("sd15", 0.8), ("sdxl", 0.8), ("sdxl", 1.0), ("inpainting", 0.8), ("inpainting", 1.0)]
)
def test_inpainting_equals_diffusers(folders: dict[Variant, Path], which: Variant, strength: float) -> None:
    oracle, components = loaded(INPAINTING[which].from_pretrained, folders[which]), load_components(folders[which])

    def expected(left: float = 0.5) -> Pixels:
        return theirs(
            oracle,
            prompt=PROMPT,
            image=SOURCE,
            mask_image=mask(96, 64, left=left),
            strength=strength,
            generator=generator(),
            num_inference_steps=4,
            guidance_scale=5.0,
            width=96,
            height=64,
        )

    assert largest(expected(), expected(0.8)) >= SEES
    inputs = PictureInputs(image=SOURCE, mask=mask(96, 64))
    asked: dict[str, Any] = {"strength": strength, "inputs": inputs, "seed": 7, "num_steps": 4}
    drawn = ours(components, PROMPT, width=96, height=64, guidance=5.0, **asked)
    assert largest(drawn, expected()) <= 1


def test_noise_where_there_is_nothing_else_is_refused(tmp_path: Path) -> None:
    folder = tiny_sd_folder(tmp_path / "folder", "sd15", rescale_betas_zero_snr=True)
    with pytest.raises(UnsupportedSampler, match="needs a network that predicts v or the picture, not epsilon"):
        load_components(folder)


def test_a_network_that_fills_needs_a_picture(folders: dict[Variant, Path]) -> None:
    with pytest.raises(UnsupportedInput, match="image: inpainting needs a picture to fill"):
        ours(load_components(folders["inpainting"]), PROMPT)


def test_components_that_do_not_belong_together_are_refused(folders: dict[Variant, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["sd15"], tmp_path / "mixed")
    shutil.rmtree(folder / "unet")
    shutil.copytree(folders["inpainting"] / "unet", folder / "unet")
    with pytest.raises(MalformedConfig, match="unet/in_channels and what the pipeline gives it do not fit: 9 and 4"):
        load_components(folder)
