"""A pipeline's folder: what its small files say, and the errors when they say something else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.checkpoints.folder import read_folder
from models.errors import MalformedConfig, MissingComponent, ModelError, UnsupportedSampler
from models.samplers.trajectories import FlowTrajectory
from models.specs import Guidance, spec_named
from tests.fixtures.tiny_models import tiny_klein_folder


@pytest.fixture(scope="module")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_klein_folder(tmp_path_factory.mktemp("klein"))


@pytest.fixture
def folder(klein: Path, tmp_path: Path) -> Path:
    """A copy without weights, which read_folder does not look at."""
    shutil.copytree(klein, tmp_path / "tiny", ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path / "tiny"


def edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_everything_is_found(folder: Path) -> None:
    found = read_folder(folder)
    assert found.spec.name == "tiny"
    assert found.spec.guidance is Guidance.CLASSIFIER_FREE
    assert isinstance(found.trajectory, FlowTrajectory)
    assert found.trajectory.schedule.use_dynamic_shifting
    assert found.trajectory.schedule.shift == 3.0
    assert (found.defaults.max_sequence_length, found.defaults.text_encoder_out_layers) == (24, (1, 2, 3))
    assert (found.defaults.width, found.defaults.dtype) == (64, "float32")


def test_without_generation_json_the_family_decides(folder: Path) -> None:
    (folder / "generation.json").unlink()
    defaults = read_folder(folder).defaults
    assert (defaults.max_sequence_length, defaults.text_encoder_out_layers) == (512, (9, 18, 27))
    assert (defaults.num_inference_steps, defaults.guidance_scale, defaults.dtype) == (50, 4.0, "bfloat16")


def test_distilled_is_what_the_folder_says(folder: Path) -> None:
    edit(folder / "model_index.json", is_distilled=True)
    assert read_folder(folder).spec.guidance is Guidance.NONE


def test_a_folder_is_named_after_the_network_it_holds(folder: Path) -> None:
    assert read_folder(folder.rename(folder.parent / "flux-nano")).spec == spec_named("flux-nano")


def test_base_weights_under_a_distilled_name_are_refused(folder: Path) -> None:
    with pytest.raises(MalformedConfig, match="is_distilled is false, not true, which flux-2-klein-4b is"):
        read_folder(folder.rename(folder.parent / "flux-2-klein-4b"))


CASES: dict[str, tuple[Callable[[Path], object], type[ModelError], str]] = {
    "no folder": (shutil.rmtree, MissingComponent, "is no folder"),
    "no index": (lambda f: (f / "model_index.json").unlink(), MissingComponent, "model_index.json is missing"),
    "no vae": (lambda f: shutil.rmtree(f / "vae"), MissingComponent, "has no vae folder"),
    "broken json": (lambda f: (f / "model_index.json").write_text("{,"), MalformedConfig, "is no JSON file"),
    "a list": (lambda f: (f / "generation.json").write_text("[]"), MalformedConfig, "holds no JSON object"),
    "other pipeline": (
        lambda f: edit(f / "model_index.json", _class_name="StableDiffusion3Pipeline"),
        MalformedConfig,
        '"StableDiffusion3Pipeline", not one of FluxPipeline,',
    ),
    "pipeline of another family": (
        lambda f: edit(f / "model_index.json", _class_name="FluxPipeline"),
        MalformedConfig,
        "transformer is .*, not FluxTransformer2DModel",
    ),
    "nameless": (lambda f: edit(f / "model_index.json", _class_name=None), MalformedConfig, "_class_name"),
    "unnamed transformer": (
        lambda f: edit(f / "model_index.json", transformer=None),
        MissingComponent,
        "names no transformer",
    ),
    "other transformer": (
        lambda f: edit(f / "model_index.json", transformer=["diffusers", "UNet2DConditionModel"]),
        MalformedConfig,
        "UNet2DConditionModel",
    ),
    "extra component": (
        lambda f: edit(f / "model_index.json", controlnet=["diffusers", "X"]),
        MalformedConfig,
        "unknown fields: controlnet",
    ),
    "other scheduler": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", _class_name="DDIMScheduler"),
        UnsupportedSampler,
        "names 'DDIMScheduler'",
    ),
    "karras": (
        lambda f: edit(f / "scheduler" / "scheduler_config.json", use_karras_sigmas=True),
        UnsupportedSampler,
        "use_karras_sigmas is true",
    ),
    "misspelt default": (
        lambda f: edit(f / "generation.json", guidance=3.0),
        MalformedConfig,
        "unknown fields: guidance",
    ),
    "half precision": (
        lambda f: edit(f / "generation.json", dtype="float16"),
        MalformedConfig,
        '"float16", not float32 or bfloat16',
    ),
    "no steps": (
        lambda f: edit(f / "generation.json", num_inference_steps=0),
        MalformedConfig,
        "num_inference_steps is 0",
    ),
    "layers as text": (
        lambda f: edit(f / "generation.json", text_encoder_out_layers="9"),
        MalformedConfig,
        "a list of positive whole numbers",
    ),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_folder_that_is_wrong_is_refused(folder: Path, case: str) -> None:
    damage, error, message = CASES[case]
    damage(folder)
    with pytest.raises(error, match=message):
        read_folder(folder)
