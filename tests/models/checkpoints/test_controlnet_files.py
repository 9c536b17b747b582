"""ControlNets in files: Diffusers' folder, one file with Diffusers' names, one with the authors'; and what is none."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoints.config import Config
from models.checkpoints.controlnet import load_controlnet, load_controlnet_file, save_controlnet
from models.checkpoints.controlnet_config import controlnet_params
from models.checkpoints.detect import Kind, Naming, detect_file
from models.checkpoints.keymap import applied
from models.checkpoints.keymaps.controlnet import compvis_controlnet
from models.control.controlnet import ControlNet, ControlNetParams
from models.errors import MalformedConfig, UnknownKeys
from models.specs import SD15, SDXL
from models.unet.unet import UnetParams
from tests.fixtures.tiny_controls import tiny_controlnet

FAMILIES = ("sd15", "sdxl")
PREFIX = "control_model."


def authors_file(
    network: ControlNet, path: Path, prefix: str = PREFIX, beside: dict[str, Tensor] | None = None
) -> Path:
    """Write a network as its authors publish it."""
    state = network.state_dict()
    table = compvis_controlnet(network.control_params, prefix)
    tensors = {
        name: part.contiguous()
        for entry in applied(table, state)
        for name, part in zip(entry.foreign, entry.row.to_foreign(state[entry.native]), strict=True)
    }
    save_file(tensors | (beside or {}), path)
    return path


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    tiny_controlnet(request.param, seed=3).save_pretrained(tmp_path / "folder")
    return tmp_path / "folder"


def same(one: ControlNet, other: ControlNet) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_folder_is_written_as_it_was_read(folder: Path, tmp_path: Path) -> None:
    network = load_controlnet(folder)
    save_controlnet(network, tmp_path / "again")
    again, stem = load_controlnet(tmp_path / "again"), "diffusion_pytorch_model.safetensors"
    assert again.control_params == network.control_params
    assert same(again, network)
    assert load_file(tmp_path / "again" / stem).keys() == load_file(folder / stem).keys()


def test_one_file_holds_the_same_network(folder: Path, tmp_path: Path) -> None:
    network = load_controlnet(folder)
    ours = folder / "diffusion_pytorch_model.safetensors"
    files = {
        ours: (Naming.DIFFUSERS, ""),
        authors_file(network, tmp_path / "prefixed.safetensors"): (Naming.NATIVE, PREFIX),
        authors_file(network, tmp_path / "bare.safetensors", ""): (Naming.NATIVE, ""),
        authors_file(
            network,
            tmp_path / "whole.safetensors",
            beside={"model.diffusion_model.out.2.weight": torch.zeros(4, 8, 3, 3)},
        ): (Naming.NATIVE, PREFIX),
    }
    for path, (naming, prefix) in files.items():
        found = detect_file(path)
        assert (found.kind, found.naming, found.prefix) == (Kind.CONTROLNET, naming, prefix)
        loaded = load_controlnet_file(path)
        assert loaded.control_params == network.control_params
        assert same(loaded, network)


def test_a_key_too_many_is_refused(folder: Path, tmp_path: Path) -> None:
    path = authors_file(load_controlnet(folder), tmp_path / "a.safetensors", beside={f"{PREFIX}more": torch.zeros(1)})
    with pytest.raises(UnknownKeys, match="more"):
        load_controlnet_file(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("global_pool_conditions", True), ("mid_block_type", "UNetMidBlock2D"), ("conditioning_channels", 4), ("x", 1)],
)
def test_another_kind_of_controlnet_is_refused(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "config.json"
    path.write_text(f'{{"{field}": {str(value).lower() if isinstance(value, bool) else value!r}}}'.replace("'", '"'))
    with pytest.raises(MalformedConfig, match=field):
        controlnet_params(Config(path))


@pytest.mark.parametrize(("unet", "count"), [(SD15, 361_279_120), (SDXL, 1_251_014_160)])
def test_published_sizes_have_the_published_number_of_parameters(unet: UnetParams, count: int) -> None:
    with torch.device("meta"):
        network = ControlNet(ControlNetParams(unet))
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert network.control_params.fits(unet)
    assert not network.control_params.fits(SDXL if unet == SD15 else SD15)
