"""Weights are found by folder name and loaded strictly; a bad folder does not take the others along."""

from pathlib import Path

import pytest
import torch

from models.errors import UnsupportedInput
from models.pipeline.request import DrawRequest, PictureInputs
from tests.fixtures.tiny_models import tiny_flux1_folder, tiny_klein_folder, tiny_redux_folder
from tests.models.pipeline.parity import picture
from workers.networks import NoNetworks, load_networks, network_folders

CPU = torch.device("cpu")


def broken(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    return folder


def test_a_later_root_replaces_a_folder_of_the_same_name_and_others_are_no_networks(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours / "flux-nano", theirs / "flux-nano", theirs / "another"):
        broken(folder)
    (theirs / "notes").mkdir()
    found = network_folders((ours, theirs, tmp_path / "missing"))
    assert found == {"flux-nano": theirs / "flux-nano", "another": theirs / "another"}


def test_a_folder_that_cannot_be_loaded_is_left_out(tmp_path: Path) -> None:
    tiny_klein_folder(tmp_path / "flux-nano")
    broken(tmp_path / "broken")
    loaded = load_networks((tmp_path,), CPU, None)
    assert list(loaded.networks) == ["flux-nano"]
    assert loaded.revisions == {"flux-nano": loaded.networks["flux-nano"].revision}


def test_pictures_as_prompts_are_read_by_the_network_that_is_named_for_them(tmp_path: Path) -> None:
    tiny_flux1_folder(tmp_path / "flux-dev")
    loaded = load_networks((tmp_path,), CPU, None)
    asked = DrawRequest("p", 0, 64, 64, 1, 3.5, inputs=PictureInputs(image_prompts=(picture(64, 64),)))
    dev = loaded.networks["flux-dev"]
    with pytest.raises(UnsupportedInput, match=r"no FLUX\.1 Redux is installed beside this network"):
        dev.start(asked, dev.encode)
    tiny_redux_folder(tmp_path / "flux-redux-dev")
    with_redux = load_networks((tmp_path,), CPU, None)
    assert list(with_redux.networks) == ["flux-dev"]
    assert set(with_redux.revisions) == {"flux-dev", "flux-redux-dev"}
    dev = with_redux.networks["flux-dev"]
    assert dev.start(asked, dev.encode).conditions.branches[0].text_LC.shape[0] > dev.encode("p", 24).tokens_LC.shape[0]


def test_a_worker_without_any_network_says_what_it_found(tmp_path: Path) -> None:
    broken(tmp_path / "broken")
    with pytest.raises(NoNetworks, match="folders found: broken"):
        load_networks((tmp_path,), CPU, None)
    with pytest.raises(NoNetworks, match="folders found: none"):
        load_networks((tmp_path / "empty",), CPU, None)
