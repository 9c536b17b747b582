"""Checkpoints of Stable Diffusion and SDXL in one file become folders that draw the same pictures, for us and for Diffusers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    StableDiffusionXLImg2ImgPipeline,
)

from models.checkpoints.folder import read_folder
from models.errors import MalformedConfig, ShapeMismatch, UnknownKeys
from models.importing.errors import ImportRefused
from models.pipeline.loading import load_components
from models.pipeline.request import PictureInputs
from models.pipeline.sd import SdComponents
from tests.fixtures.single_files import single_file
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.models.importing.conftest import Import
from tests.models.pipeline.parity import OTHER_PROMPT, PROMPT, SEES, generator, largest, loaded, ours, picture, theirs

PIPELINES = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
LIKE = {"sd15": "sd-1.5", "sdxl": "sdxl"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """A folder, and one with other weights that gives what a file lacks."""
    root = tmp_path_factory.mktemp("sd")
    return {
        "sd15": (tiny_sd_folder(root / "sd15"), tiny_sd_folder(root / "base15", seed=1)),
        "sdxl": (tiny_sd_folder(root / "sdxl", "sdxl"), tiny_sd_folder(root / "basexl", "sdxl", seed=1)),
    }


@pytest.mark.parametrize("which", sorted(PIPELINES))
def test_a_single_file_draws_what_its_folder_draws(
    bring: Import, folders: dict[str, tuple[Path, Path]], tmp_path: Path, which: str
) -> None:
    folder, base = folders[which]
    made = bring(single_file(folder, tmp_path / "civitai.safetensors"), LIKE[which], base=base)
    asked = {"num_inference_steps": 3, "width": 64, "height": 64, "guidance_scale": 5.0}
    oracle = loaded(PIPELINES[which].from_pretrained, folder)
    expected = theirs(oracle, prompt=PROMPT, generator=generator(), **asked)
    assert largest(expected, theirs(oracle, prompt=OTHER_PROMPT, generator=generator(), **asked)) >= SEES
    drawn = ours(
        load_components(made, dtype=torch.float32), PROMPT, seed=7, num_steps=3, width=64, height=64, guidance=5.0
    )
    assert largest(drawn, expected) <= 1
    again = theirs(loaded(PIPELINES[which].from_pretrained, made), prompt=PROMPT, generator=generator(), **asked)
    assert largest(again, expected) <= 1


@pytest.mark.prove
def test_the_refiner_in_one_file_draws_what_its_folder_draws(bring: Import, tmp_path: Path) -> None:
    """It has the second text encoder alone, in the place of the first."""
    folder, base = tiny_sd_folder(tmp_path / "refiner", "refiner"), tiny_sd_folder(tmp_path / "base", "refiner", seed=1)
    made = bring(single_file(folder, tmp_path / "refiner.safetensors"), "sdxl", base=base)
    asked: dict[str, Any] = {"seed": 7, "num_steps": 3, "width": 64, "height": 64, "guidance": 5.0, "strength": 0.7}
    asked["inputs"] = PictureInputs(image=picture(64, 64))
    one, other = (load_components(path, dtype=torch.float32) for path in (folder, made))
    assert largest(ours(one, PROMPT, **asked), ours(one, OTHER_PROMPT, **asked)) >= SEES
    assert largest(ours(one, PROMPT, **asked), ours(other, PROMPT, **asked)) == 0
    oracle = loaded(StableDiffusionXLImg2ImgPipeline.from_pretrained, made)
    fields = {"image": picture(64, 64), "strength": 0.7, "num_inference_steps": 3, "guidance_scale": 5.0}
    assert largest(ours(other, PROMPT, **asked), theirs(oracle, prompt=PROMPT, generator=generator(), **fields)) <= 1


@pytest.mark.prove
def test_a_file_in_float16_draws_in_float16(
    bring: Import, folders: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """As most come from Civitai; here with tokenizers that are given by themselves."""
    folder, base = folders["sdxl"]
    tokenizers = {"tokenizer": folder / "tokenizer", "tokenizer_2": folder / "tokenizer_2"}
    half = single_file(folder, tmp_path / "half.safetensors", dtype=torch.float16)
    made = bring(half, "sdxl", base=base, swaps=tokenizers)
    components = load_components(made)
    asked: dict[str, Any] = {"seed": 7, "num_steps": 3, "width": 64, "height": 64, "guidance": 5.0}
    assert isinstance(components, SdComponents)
    assert (components.dtype, components.defaults.dtype) == (torch.float16, "float16")
    drawn = ours(components, PROMPT, **asked)
    assert largest(drawn, ours(components, OTHER_PROMPT, **asked)) >= SEES
    exact = ours(load_components(made, dtype=torch.float32), PROMPT, **asked)
    assert float(np.abs(drawn - exact).mean()) < 2


def test_float16_is_refused_where_it_overflows(klein: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(klein, tmp_path / "klein")
    said = json.loads((copy / "generation.json").read_text())
    (copy / "generation.json").write_text(json.dumps(said | {"dtype": "float16"}))
    with pytest.raises(MalformedConfig, match="dtype"):
        read_folder(copy)


def test_a_file_says_how_its_network_was_trained(
    bring: Import, folders: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    folder, base = folders["sd15"]
    made = bring(single_file(folder, tmp_path / "v.safetensors", marks=("v_pred", "ztsnr")), "sd-1.5", base=base)
    schedule = json.loads((made / "scheduler" / "scheduler_config.json").read_text())
    assert schedule["prediction_type"] == "v_prediction"
    assert (schedule["rescale_betas_zero_snr"], schedule["timestep_spacing"]) == (True, "trailing")


def test_what_a_file_lacks_comes_from_the_base(
    bring: Import, folders: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    folder, base = folders["sd15"]
    made = bring(single_file(folder, tmp_path / "x.safetensors", without="first_stage_model."), "sd-1.5", base=base)
    parts = {name: load_components(path) for name, path in {"made": made, "file": folder, "base": base}.items()}
    for one, other in (("made", "base"), ("file", "made")):
        assert isinstance(parts[one], SdComponents)
        assert isinstance(parts[other], SdComponents)
    made_vae, base_vae = (parts[name].autoencoder.decoder.conv_in.weight for name in ("made", "base"))  # pyright: ignore[reportAttributeAccessIssue] (narrowed above)
    made_unet, file_unet = (parts[name].unet.conv_in.weight for name in ("made", "file"))  # pyright: ignore[reportAttributeAccessIssue] (narrowed above)
    assert torch.equal(made_vae, base_vae)
    assert torch.equal(made_unet, file_unet)


def test_a_file_without_tokenizers_says_so(
    bring: Import, folders: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    with pytest.raises(ImportRefused, match=r"lacks components of mine: tokenizer \(--tokenizer DIR\)"):
        bring(single_file(folders["sd15"][0], tmp_path / "x.safetensors"), "sd-1.5")


def test_published_names_stand_for_published_sizes(bring: Import, folders: dict[str, tuple[Path, Path]]) -> None:
    with pytest.raises(ShapeMismatch, match=r"this is not sd-1\.5: block_channels is \(8, 16\), not \(320, 640"):
        bring(folders["sd15"][0], None, "sd-1.5")


@pytest.mark.prove
def test_text_that_is_not_known_is_refused(
    bring: Import, folders: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    folder, base = folders["sdxl"]
    mark = "conditioner.embedders.1.model.something"
    with pytest.raises(UnknownKeys, match=mark):
        bring(single_file(folder, tmp_path / "x.safetensors", marks=(mark,)), "sdxl", base=base)
