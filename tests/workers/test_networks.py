"""Weights are found by folder name and loaded strictly; a bad folder does not take the others along."""

from pathlib import Path

import pytest
import torch

from tests.fixtures.tiny_models import tiny_klein_folder
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


def test_a_worker_without_any_network_says_what_it_found(tmp_path: Path) -> None:
    broken(tmp_path / "broken")
    with pytest.raises(NoNetworks, match="folders found: broken"):
        load_networks((tmp_path,), CPU, None)
    with pytest.raises(NoNetworks, match="folders found: none"):
        load_networks((tmp_path / "empty",), CPU, None)
