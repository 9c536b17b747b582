"""ControlNets become folders that are served, from Diffusers' folders and from single files, and Diffusers reads them too."""

from pathlib import Path

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from safetensors.torch import load_file

from models.checkpoints.controlnet import load_controlnet
from models.control.flux1 import Flux1ControlNet
from models.errors import CheckpointError, ShapeMismatch
from models.importing.errors import ImportRefused
from models.pipeline.loading import load_control
from tests.fixtures.tiny_controls import tiny_controlnet, tiny_flux1_controlnet
from tests.fixtures.tiny_unets import tiny_unet
from tests.models.checkpoints.test_controlnet_files import authors_file
from tests.models.importing.conftest import Import

LIKE = {"sd15": "controlnet-canny-sd-1.5", "sdxl": "controlnet-depth-sdxl"}


@pytest.mark.parametrize("source", ["folder", "diffusers", "authors", pytest.param("pickle", marks=pytest.mark.prove)])
def test_folders_and_files_become_the_same_network(bring: Import, tmp_path: Path, source: str) -> None:
    folder = tmp_path / "theirs"
    tiny_controlnet("sdxl", seed=3).save_pretrained(folder)
    expected = load_controlnet(folder)
    authors = authors_file(expected, tmp_path / "authors.safetensors")
    torch.save(load_file(authors), tmp_path / "control.pth")
    sources = {
        "folder": folder,
        "diffusers": folder / "diffusion_pytorch_model.safetensors",
        "authors": authors,
        "pickle": tmp_path / "control.pth",
    }
    made = bring(sources[source], LIKE["sdxl"])
    found = load_control(made).network
    assert found.control_params == expected.control_params
    assert all(torch.equal(found.state_dict()[key], value) for key, value in expected.state_dict().items())
    assert isinstance(ControlNetModel.from_pretrained(made / "controlnet"), ControlNetModel)


def test_another_familys_controlnet_is_refused(bring: Import, tmp_path: Path) -> None:
    tiny_controlnet("sd15", seed=3).save_pretrained(tmp_path / "sd15")
    with pytest.raises(ShapeMismatch, match="this is not controlnet-depth-sdxl: it fits another network"):
        bring(tmp_path / "sd15", LIKE["sdxl"])
    with pytest.raises(ShapeMismatch, match=r"this is not controlnet-canny-sd-1\.5"):
        bring(tmp_path / "sd15", None, "controlnet-canny-sd-1.5")


def test_what_is_no_controlnet_is_refused(bring: Import, tmp_path: Path) -> None:
    tiny_unet("sd15").save_pretrained(tmp_path / "unet")
    with pytest.raises(ImportRefused, match="is a Stable Diffusion UNet; what is wanted here is a ControlNet"):
        bring(tmp_path / "unet" / "diffusion_pytorch_model.safetensors", LIKE["sd15"])
    with pytest.raises(CheckpointError, match="_class_name"):
        bring(tmp_path / "unet", LIKE["sd15"])


def test_flux1s_are_imported_with_the_folder_that_says_their_sizes(bring: Import, tmp_path: Path) -> None:
    union = "controlnet-union-flux-1"
    tiny_flux1_controlnet(seed=3, num_mode=10).save_pretrained(tmp_path / "union")
    assert isinstance(load_control(bring(tmp_path / "union", union)).network, Flux1ControlNet)
    for like in ("controlnet-canny-flux-1", LIKE["sd15"]):
        with pytest.raises(ShapeMismatch, match="it fits another network"):
            bring(tmp_path / "union", like, name="other")
    with pytest.raises(ShapeMismatch, match="it fits another network"):
        bring(tmp_path / "union", None, union)
