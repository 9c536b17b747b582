"""Samplers that a folder or a request names, against Diffusers' schedulers in its StableDiffusionPipeline, and on FLUX."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_deis_multistep import DEISMultistepScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.schedulers.scheduling_k_dpm_2_discrete import KDPM2DiscreteScheduler
from diffusers.schedulers.scheduling_lms_discrete import LMSDiscreteScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from models.checkpoints.folder import read_folder
from models.errors import UnsupportedSampler
from models.importing.assembly import import_weights
from models.importing.request import Request
from models.pipeline.conditions import num_run_steps, start
from models.pipeline.denoising import StepInput, advance
from models.pipeline.drawing import encode_request
from models.pipeline.loading import load_components
from models.pipeline.request import PictureInputs, request_for
from models.pipeline.sd import SdComponents
from models.samplers.trajectories import DiffusionTrajectory
from tests.fixtures.single_files import single_file
from tests.fixtures.tiny_models import Oracle, tiny_flux1_folder
from tests.fixtures.tiny_sd import SCHEDULER, Variant, tiny_sd_folder
from tests.models.importing.conftest import Said
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

NUM_STEPS = 5
SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "euler": (EulerDiscreteScheduler, {}),
    "euler_a": (EulerAncestralDiscreteScheduler, {}),
    "heun": (HeunDiscreteScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {}),
    "dpmpp_2m_sde": (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": (UniPCMultistepScheduler, {}),
    "lms": (LMSDiscreteScheduler, {}),
    "dpm2": (KDPM2DiscreteScheduler, {}),
    "deis": (DEISMultistepScheduler, {}),
    "ddim": (DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
    "plms": (PNDMScheduler, {"skip_prk_steps": True}),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "leading": {"timestep_spacing": "leading", "steps_offset": 1},
    "trailing": {"timestep_spacing": "trailing"},
    "karras": {"timestep_spacing": "linspace", "use_karras_sigmas": True},
}
WITHOUT_CURVES = ("euler_a", "ddim", "plms")
CASES = [
    (sampler, layout)
    for sampler in SCHEDULERS
    for layout in LAYOUTS
    if not (layout == "karras" and sampler in WITHOUT_CURVES)
]


OFTEN = [
    ("euler_a", "leading"),
    ("heun", "trailing"),
    ("dpmpp_2m", "karras"),
    ("dpmpp_2m_sde", "trailing"),
    ("ddim", "leading"),
]
"""Cases that every test run has; all of them, of both families and from single files, are among the long lists."""
MORE_FROM_A_PICTURE = [
    (sampler, strength)
    for sampler in ("plms", "lms", "heun", "dpmpp_2m", "unipc", "ddim")
    for strength in (0.4, 0.8, 1.0)
]
PIPELINES: dict[Variant, Any] = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
LIKE: dict[Variant, str] = {"sd15": "sd-1.5", "sdxl": "sdxl"}


@dataclass(frozen=True, eq=False)
class Family:
    """A random network of a family, in Diffusers and in ours."""

    folder: Path
    oracle: Oracle
    components: SdComponents


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Variant, str], Family]:
    """By its name, and whether ours comes from the folder as it is or from a single file."""

    @cache
    def made(which: Variant, source: str) -> Family:
        root = tmp_path_factory.mktemp(which)
        folder = tiny_sd_folder(root / "folder", which)
        place = folder if source == "folder" else imported(folder, root, LIKE[which])
        components = load_components(place, dtype=torch.float32)
        assert isinstance(components, SdComponents)
        return Family(folder, loaded(PIPELINES[which].from_pretrained, folder), components)

    return made


def imported(folder: Path, root: Path, like: str) -> Path:
    """The folder that comes of a single file with the networks of this one."""
    file = single_file(folder, root / "file.safetensors")
    return import_weights(Request(str(file), "mine", root / "models", like, base=folder, hub=root / "hub"), Said())


@pytest.fixture(scope="module")
def folder(family: Callable[[Variant, str], Family]) -> Path:
    return family("sd15", "folder").folder


@pytest.fixture(scope="module")
def components(family: Callable[[Variant, str], Family]) -> SdComponents:
    return family("sd15", "folder").components


def with_scheduler(components: SdComponents, scheduler: Oracle, folder: Path, copy: Path) -> SdComponents:
    """The same networks, with a scheduler as Diffusers writes it into a folder."""
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.safetensors", "scheduler"))
    scheduler.save_pretrained(copy / "scheduler")
    index = json.loads((copy / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", type(scheduler).__name__]
    (copy / "model_index.json").write_text(json.dumps(index))
    trajectory = read_folder(copy).trajectory
    assert isinstance(trajectory, DiffusionTrajectory)
    return replace(components, trajectory=trajectory)


def drawn(components: SdComponents, **asked: Any) -> Pixels:
    asked = {"seed": 7, "num_steps": NUM_STEPS, "width": 64, "height": 64, "guidance": 5.0} | asked
    return ours(components, PROMPT, **asked)


def expected(oracle: Oracle, prompt: str = PROMPT, **asked: Any) -> Pixels:
    asked = {"num_inference_steps": NUM_STEPS, "width": 64, "height": 64, "guidance_scale": 5.0} | asked
    return theirs(oracle, prompt=prompt, generator=generator(), **asked)


@pytest.mark.parametrize(("sampler", "layout"), OFTEN)
def test_the_sampler_of_a_folder_is_followed(
    family: Callable[[Variant, str], Family], tmp_path: Path, sampler: str, layout: str
) -> None:
    one = family("sdxl" if layout == "karras" else "sd15", "folder")
    found, picture_of_theirs = followed(one, tmp_path, sampler, layout)
    # A request that names the sampler gets the same of a folder that has another.
    other = replace(found, trajectory=replace(found.trajectory, sampler=one.components.trajectory.sampler))
    assert largest(drawn(other, sampler=sampler), picture_of_theirs) <= 1


@pytest.mark.prove
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # Diffusers' KDPM2 hands a tensor to NumPy
@pytest.mark.parametrize("source", ["folder", "file"])
@pytest.mark.parametrize("which", sorted(PIPELINES))
@pytest.mark.parametrize(("sampler", "layout"), CASES)
def test_every_sampler_of_a_folder_is_followed(
    family: Callable[[Variant, str], Family], tmp_path: Path, which: Variant, source: str, sampler: str, layout: str
) -> None:
    followed(family(which, source), tmp_path, sampler, layout)


def followed(family: Family, tmp_path: Path, sampler: str, layout: str) -> tuple[SdComponents, Pixels]:
    """Both draw the same picture when the folder asks for this sampler: our components, and their picture."""
    kind, options = SCHEDULERS[sampler]
    oracle = family.oracle
    oracle.scheduler = kind(**SCHEDULER | options | LAYOUTS[layout])
    found = with_scheduler(family.components, oracle.scheduler, family.folder, tmp_path / "copy")
    assert found.trajectory.sampler.name == sampler
    picture_of_theirs = expected(oracle)
    assert largest(picture_of_theirs, expected(oracle, OTHER_PROMPT)) >= SEES
    assert largest(drawn(found), picture_of_theirs) <= 1
    return found, picture_of_theirs


def test_inpainting_with_another_sampler_equals_diffusers(folder: Path, components: SdComponents) -> None:
    oracle, source = loaded(StableDiffusionInpaintPipeline.from_pretrained, folder), picture(64, 64, 3)
    oracle.scheduler = DPMSolverMultistepScheduler(**SCHEDULER | LAYOUTS["leading"])

    def their_picture(left: float) -> Pixels:
        return expected(oracle, image=source, mask_image=mask(64, 64, left=left), strength=0.8)

    assert largest(their_picture(0.5), their_picture(0.8)) >= SEES
    inputs = PictureInputs(image=source, mask=mask(64, 64))
    asked: dict[str, Any] = {"sampler": "DPM++ 2M", "strength": 0.8, "inputs": inputs}
    assert largest(drawn(components, **asked), their_picture(0.5)) <= 1


@pytest.mark.parametrize(
    ("sampler", "strength"),
    [("plms", 0.6), *(pytest.param(*case, marks=pytest.mark.prove) for case in MORE_FROM_A_PICTURE)],
)
def test_image_to_image_with_the_sampler_of_the_folder_equals_diffusers(
    folder: Path, components: SdComponents, tmp_path: Path, sampler: str, strength: float
) -> None:
    """Stable Diffusion 1.5 was published with PNDM."""
    oracle, source = loaded(StableDiffusionImg2ImgPipeline.from_pretrained, folder), picture(64, 64, 3)
    kind, options = SCHEDULERS[sampler]
    oracle.scheduler = kind(**SCHEDULER | options | LAYOUTS["leading"])
    found = with_scheduler(components, oracle.scheduler, folder, tmp_path / "copy")

    def their_picture(prompt: str) -> Pixels:
        asked = {"image": source, "strength": strength, "num_inference_steps": NUM_STEPS, "guidance_scale": 5.0}
        return theirs(oracle, prompt=prompt, generator=generator(), **asked)

    assert largest(their_picture(PROMPT), their_picture(OTHER_PROMPT)) >= SEES
    drawn_by_us = drawn(found, strength=strength, inputs=PictureInputs(image=source))
    assert largest(drawn_by_us, their_picture(PROMPT)) <= 1


def test_names_of_others_choose_a_sampler_and_its_schedule(components: SdComponents) -> None:
    one = drawn(components, sampler="DPM++ 2M Karras")
    assert largest(one, drawn(components, sampler="dpmpp_2m", schedule="karras")) == 0
    assert largest(one, drawn(components, sampler="dpmpp_2m")) >= SEES


def test_a_pair_that_does_not_fit_is_refused_with_those_that_do(components: SdComponents) -> None:
    with pytest.raises(UnsupportedSampler, match="schedule karras does not fit sampler plms; these do: ddim_uniform"):
        drawn(components, sampler="plms", schedule="karras")


@torch.no_grad()
def test_rows_of_different_samplers_at_different_steps_share_a_call(components: SdComponents) -> None:
    """A stochastic row draws its own noise: its company changes nothing."""
    rows = []
    for number, sampler in enumerate(["Euler a", "Heun", None, "DPM++ 2M SDE"]):
        asked = request_for(components.defaults, PROMPT, seed=number, num_steps=4, sampler=sampler)
        begun = start(components, asked, *encode_request(components, asked))
        assert begun.conditions.num_steps == num_run_steps(components, asked)
        (moved,) = advance(components, [StepInput(begun.latents_LC, begun.conditions, 0)])
        rows.append(StepInput(moved, begun.conditions, 1))
    for row, together in zip(rows, advance(components, rows), strict=True):
        (alone,) = advance(components, [row])
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_flux_walks_by_name_too(tmp_path: Path) -> None:
    components = load_components(tiny_flux1_folder(tmp_path / "dev"))
    asked: dict[str, Any] = {"seed": 7, "num_steps": 4, "max_sequence_length": 16}
    euler = ours(components, PROMPT, **asked)
    assert largest(euler, ours(components, PROMPT, sampler="euler", **asked)) <= 1
    assert largest(euler, ours(components, PROMPT, sampler="heun", **asked)) >= SEES // 8
