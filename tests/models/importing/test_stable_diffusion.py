"""Checkpoints of Stable Diffusion and SDXL in one file become folders that draw the same pictures, for us and for Diffusers."""

import json
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints.keymaps.openclip import openclip_targets
from models.checkpoints.keymaps.unet import compvis_names
from models.checkpoints.load import foreign_state
from models.errors import ShapeMismatch, UnknownKeys
from models.importing.errors import ImportRefused
from models.pipeline.loading import load_components
from models.pipeline.sd import SdComponents
from tests.fixtures.tiny_models import Oracle
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.models.importing.conftest import Import
from tests.models.pipeline.parity import OTHER_PROMPT, PROMPT, SEES, generator, largest, loaded, ours, theirs

PIPELINES = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
LIKE = {"sd15": "sd-1.5", "sdxl": "sdxl"}


def single_file(folder: Path, path: Path, *, marks: tuple[str, ...] = (), without: str = "\0") -> Path:
    """The folder's networks as CompVis', Stability's and Civitai's files hold them."""
    components = load_components(folder)
    assert isinstance(components, SdComponents)
    is_xl, unet = components.unet.params.added is not None, components.unet
    state = foreign_state(unet, compvis_names(unet.params, "model.diffusion_model.", linear_projection=is_xl))
    for name, value in components.autoencoder.state_dict().items():
        state[f"first_stage_model.{name.replace('encoder.quant', 'quant').replace('decoder.post_', 'post_')}"] = value
    first, second = "cond_stage_model.", "conditioner.embedders.1.model."
    for _, encoder in components.text.encoders[:1]:
        prefix = "conditioner.embedders.0." if is_xl else first
        state |= {f"{prefix}transformer.text_model.{name}": value for name, value in encoder.model.state_dict().items()}
        state[f"{prefix}transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    for _, encoder in components.text.encoders[1:]:
        state |= {second + name: value for name, value in openclip_state(encoder).items()}
        state[f"{second}logit_scale"] = torch.zeros(())
    state |= {mark: torch.zeros(0) for mark in marks} | {"model_ema.decay": torch.zeros(())}
    save_file({name: value.contiguous().clone() for name, value in state.items() if without not in name}, path)
    return path


def openclip_state(encoder: Oracle) -> dict[str, Tensor]:
    """A text encoder under OpenCLIP's names."""
    held = {f"text_model.{name}": value for name, value in encoder.model.state_dict().items()}
    held["text_projection.weight"] = encoder.text_projection.weight.T
    layers = encoder.config.num_hidden_layers
    inner = ["ln_1", "ln_2", "mlp.c_fc", "mlp.c_proj", "attn.out_proj"]
    names = ["positional_embedding", "token_embedding.weight", "ln_final.weight", "ln_final.bias", "text_projection"]
    names += [
        f"transformer.resblocks.{i}.{name}.{kind}"
        for i in range(layers)
        for name in inner
        for kind in ("weight", "bias")
    ]
    names += [f"transformer.resblocks.{i}.attn.in_proj_{kind}" for i in range(layers) for kind in ("weight", "bias")]
    return {name: torch.cat([held[target] for target in openclip_targets(name)]) for name in names}


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


def test_text_that_is_not_known_is_refused(
    bring: Import, folders: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    folder, base = folders["sdxl"]
    mark = "conditioner.embedders.1.model.something"
    with pytest.raises(UnknownKeys, match=mark):
        bring(single_file(folder, tmp_path / "x.safetensors", marks=(mark,)), "sdxl", base=base)
