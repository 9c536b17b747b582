"""Weight files: whole and in shards, and every way in which an untrusted folder can be wrong."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoints.files import TensorFiles, write_tensors
from models.checkpoints.provenance import fingerprint
from models.errors import CheckpointError, MalformedConfig, MalformedFile, MissingComponent, UnsafeFormat

STEM = "model"
A, B = torch.arange(6.0).reshape(2, 3), torch.ones(4, dtype=torch.bfloat16)


def shards(folder: Path, weight_map: dict[str, object]) -> Path:
    save_file({"a": A}, folder / "model-00001-of-00002.safetensors")
    save_file({"b": B}, folder / "model-00002-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


GOOD_MAP: dict[str, object] = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}


def test_a_whole_file_is_read_by_name(tmp_path: Path) -> None:
    write_tensors(tmp_path / "model.safetensors", {"a": A, "b": B})
    files = TensorFiles.of_component(tmp_path, STEM)
    assert files.names() == ["a", "b"]
    assert files.shape("a") == (2, 3)
    assert torch.equal(files.read("a"), A)
    assert files.read("b").dtype is torch.bfloat16


def test_shards_read_like_one_file(tmp_path: Path) -> None:
    files = TensorFiles.of_component(shards(tmp_path, GOOD_MAP), STEM)
    assert files.names() == ["a", "b"]
    assert torch.equal(files.read("a"), A)
    assert torch.equal(files.read("b"), B)


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "/etc/passwd", "sub/x.safetensors", "..\\x.safetensors", 7, "x.bin"]
)
def test_an_index_cannot_point_outside_its_folder(tmp_path: Path, shard: object) -> None:
    with pytest.raises(MalformedFile, match="a shard is a safetensors file in the same folder"):
        TensorFiles.of_component(shards(tmp_path, GOOD_MAP | {"b": shard}), STEM)


@pytest.mark.parametrize(
    ("weight_map", "error"),
    [
        ({}, MalformedFile),
        ({"a": GOOD_MAP["a"]}, None),
        ({"a": GOOD_MAP["b"], "b": GOOD_MAP["a"]}, MalformedFile),
        (GOOD_MAP | {"c": GOOD_MAP["a"]}, MalformedFile),
        (GOOD_MAP | {"c": "model-00003-of-00002.safetensors"}, MissingComponent),
    ],
)
def test_an_index_that_contradicts_its_shards_is_refused(
    tmp_path: Path, weight_map: dict[str, object], error: type[CheckpointError] | None
) -> None:
    folder = shards(tmp_path, weight_map)
    if error is None:  # a shard that the index does not name is not opened
        assert TensorFiles.of_component(folder, STEM).names() == ["a"]
        return
    with pytest.raises(error):
        TensorFiles.of_component(folder, STEM)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    folder = shards(tmp_path, GOOD_MAP)
    save_file({"a": A, "b": B}, folder / "model-00002-of-00002.safetensors")
    with pytest.raises(MalformedFile, match=r"a is in model-00001-of-00002.safetensors and again"):
        TensorFiles.of_component(folder, STEM)


def test_two_sets_of_weights_in_one_folder_are_refused(tmp_path: Path) -> None:
    save_file({"a": A}, shards(tmp_path, GOOD_MAP) / "model.safetensors")
    with pytest.raises(MalformedFile, match="holds both"):
        TensorFiles.of_component(tmp_path, STEM)


@pytest.mark.parametrize("name", ["model.bin", "pytorch_model.bin", "weights.pt", "x.pth", "x.ckpt"])
def test_pickles_are_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(UnsafeFormat, match="only safetensors are read"):
        TensorFiles.of_component(tmp_path, STEM)


def test_an_empty_folder_says_which_file_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(MissingComponent, match=r"holds no model.safetensors"):
        TensorFiles.of_component(tmp_path, STEM)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 64])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(MalformedFile, match="cannot be read as safetensors"):
        TensorFiles.of_component(tmp_path, STEM)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"a": A})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(MalformedFile):
        TensorFiles.of_component(tmp_path, STEM)


def test_an_index_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text("{")
    with pytest.raises(MalformedConfig):
        TensorFiles.of_component(tmp_path, STEM)


def test_writing_leaves_no_partial_file(tmp_path: Path) -> None:
    write_tensors(tmp_path / "sub" / "model.safetensors", {"a": A.T})
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["model.safetensors"]
    assert torch.equal(TensorFiles.of_component(tmp_path / "sub", STEM).read("a"), A.T)


def test_the_fingerprint_follows_every_file_that_matters_and_no_other(tmp_path: Path) -> None:
    write_tensors(tmp_path / "model.safetensors", {"a": A})
    (tmp_path / "config.json").write_text("{}")
    before = fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    assert fingerprint(tmp_path) == before
    write_tensors(tmp_path / "model.safetensors", {"a": A + 1})
    after_weights = fingerprint(tmp_path)
    (tmp_path / "config.json").write_text("{ }")
    assert len({before, after_weights, fingerprint(tmp_path)}) == 3


def test_one_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "any-name.safetensors")
    assert torch.equal(TensorFiles.of_file(tmp_path / "any-name.safetensors").read("a"), torch.ones(2))
    with pytest.raises(MissingComponent, match="is not there"):
        TensorFiles.of_file(tmp_path / "other.safetensors")
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(UnsafeFormat, match="only safetensors are read"):
        TensorFiles.of_file(tmp_path / "model.ckpt")
