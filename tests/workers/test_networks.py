"""Weights are found by folder name and loaded strictly; a bad folder does not take the others along."""

from pathlib import Path
from typing import cast

import pytest
import torch

from models.errors import CheckpointError, UnsupportedInput
from models.flow.transformer import RowConstants
from models.pipeline.loading import load_components
from models.pipeline.request import DrawRequest, PictureInputs
from tests.fixtures.tiny_models import tiny_flux1_folder, tiny_klein_folder, tiny_redux_folder
from tests.models.pipeline.parity import picture
from workers.engine.lazy_part import weight_bytes
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
    with pytest.raises(UnsupportedInput, match="there is no 'flux-redux-dev' beside this network"):
        dev.start(asked, dev.encode)
    tiny_redux_folder(tmp_path / "flux-redux-dev")
    with_redux = load_networks((tmp_path,), CPU, None)
    assert list(with_redux.networks) == ["flux-dev"]
    assert set(with_redux.revisions) == {"flux-dev", "flux-redux-dev"}
    dev = with_redux.networks["flux-dev"]
    assert (
        cast("RowConstants", dev.start(asked, dev.encode).conditions.branches[0]).text_LC.shape[0]
        > dev.encode("p", 24).tokens_LC.shape[0]
    )


def test_a_worker_without_any_network_says_what_it_found(tmp_path: Path) -> None:
    broken(tmp_path / "broken")
    with pytest.raises(NoNetworks, match="folders found: broken"):
        load_networks((tmp_path,), CPU, None)
    with pytest.raises(NoNetworks, match="folders found: none"):
        load_networks((tmp_path / "empty",), CPU, None)


def test_networks_beyond_the_budget_are_known_at_once_and_loaded_in_turn(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("other", 1)):
        tiny_klein_folder(tmp_path / name, seed=seed)
    whole = load_networks((tmp_path,), CPU, torch.float32)
    outlined = load_components(tmp_path / "one", "meta", torch.float32)
    budget_bytes = weight_bytes(outlined) * 3 // 2
    assert weight_bytes(load_components(tmp_path / "one", CPU, torch.float32)) == weight_bytes(outlined)
    loaded = load_networks((tmp_path,), CPU, torch.float32, budget_bytes)
    assert loaded.revisions == whole.revisions
    assert loaded.residency.loaded == ("one",)
    asked = DrawRequest("p", 0, 64, 64, 1, 1.0)
    assert loaded.networks["other"].run_of(asked) == whole.networks["other"].run_of(asked)
    for name in ("other", "one"):
        loaded.residency.make_ready((name,))
        assert loaded.residency.loaded == (name,)
        ours, expected = (found.networks[name].encode("p", 24).tokens_LC for found in (loaded, whole))
        assert torch.equal(ours, expected)


def test_a_network_larger_than_the_budget_is_left_out(tmp_path: Path) -> None:
    tiny_klein_folder(tmp_path / "flux-nano")
    with pytest.raises(NoNetworks, match="folders found: flux-nano"):
        load_networks((tmp_path,), CPU, None, 1000)


def test_weights_that_were_exchanged_under_a_worker_are_not_taken_for_its_own(tmp_path: Path) -> None:
    tiny_klein_folder(tmp_path / "one")
    tiny_klein_folder(tmp_path / "other")
    num_bytes = weight_bytes(load_components(tmp_path / "one", "meta", None))
    loaded = load_networks((tmp_path,), CPU, None, num_bytes)
    with (tmp_path / "other" / "generation.json").open("a") as file:
        file.write("\n")
    with pytest.raises(CheckpointError, match="the weights of other have changed"):
        loaded.residency.make_ready(("other",))
    assert loaded.residency.loaded == ()
