"""Headers of safetensors files from strangers: each broken rule is named, before anything is mapped or allocated."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from models.checkpoints.files import TensorFiles
from models.checkpoints.safetensors_header import MAX_HEADER_BYTES, read_header
from models.errors import MalformedConfig, MalformedFile

Header = dict[str, object]
GOOD: Header = {
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [8, 20]},
}


def written(path: Path, header: Header | str | bytes, num_bytes: int = 20, length: int | None = None) -> Path:
    text = json.dumps(header) if isinstance(header, dict) else header
    encoded = text.encode() if isinstance(text, str) else text
    path.write_bytes((len(encoded) if length is None else length).to_bytes(8, "little") + encoded + bytes(num_bytes))
    return path


def refused(path: Path, message: str) -> None:
    """By a named error with the file in it; by TensorFiles too, so that nothing else ever opens the file."""
    with pytest.raises(MalformedFile, match=message) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    with pytest.raises(MalformedFile, match=message):
        TensorFiles.of_file(path)


def test_a_header_says_what_the_library_finds(tmp_path: Path) -> None:
    tensors = {
        "a": torch.ones(3, dtype=torch.bfloat16),
        "b": torch.zeros(()),
        "c": torch.zeros(0, 4),
        "d": torch.ones(2, 2),
    }
    save_file(tensors, tmp_path / "x.safetensors", {"format": "pt"})
    header = read_header(tmp_path / "x.safetensors")
    assert {name: info.shape for name, info in header.items()} == {name: tuple(t.shape) for name, t in tensors.items()}
    assert header["a"].dtype == "BF16"
    assert header["a"].num_bytes == 6


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda h: h["b"].update(data_offsets=[4, 16]), "b overlaps another tensor"),
        (lambda h: h["b"].update(data_offsets=[9, 21]), "b ends at byte 21 of 20: the file is cut short"),
        (lambda h: h["a"].update(shape=[1], data_offsets=[0, 4]), "b comes after a gap: it begins at byte 8, not 4"),
        (lambda h: h.pop("b"), "12 bytes after the last tensor belong to none"),
        (lambda h: h["a"].update(data_offsets=[8, 0]), r"a has no data_offsets"),
        (lambda h: h["a"].update(data_offsets=[-8, 0]), r"a has no data_offsets"),
        (lambda h: h["a"].update(data_offsets=[0, 8, 9]), r"a has no data_offsets"),
        (lambda h: h["a"].update(data_offsets=[0.0, 8.0]), r"a has no data_offsets"),
        (lambda h: h["a"].update(data_offsets=[2**64, 2**64 + 8]), r"a has no data_offsets"),
        (lambda h: h["a"].update(shape=[2**62, 2**62, 4]), "a has 8 bytes, which is not F32"),
        (lambda h: h["a"].update(shape=[2**70]), "a has no shape"),
        (lambda h: h["a"].update(shape=[-1, -2]), "a has no shape"),
        (lambda h: h["a"].update(shape=[True, 2]), "a has no shape"),
        (lambda h: h["a"].update(shape=[1] * 9 + [2]), "a has no shape of at most 8 sizes"),
        (lambda h: h["a"].update(shape="2"), "a has no shape"),
        (lambda h: h["a"].update(dtype="F16"), "a has 8 bytes, which is not F16"),
        (lambda h: h["a"].update(dtype="Q4_K"), "a has the unknown dtype 'Q4_K'"),
        (lambda h: h["a"].update(dtype=["F32"]), "a has the unknown dtype"),
        (lambda h: h["a"].update(extra=1), "a has other fields"),
        (lambda h: h.update(a=[1, 2]), "a has other fields"),
        (lambda h: h.update(__metadata__={"k": 1}), "__metadata__ holds more than texts"),
        (lambda h: h.update(__metadata__=[]), "__metadata__ holds more than texts"),
        (lambda h: h.update(c={}, d={}), "an object that describes no tensor"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused(
    tmp_path: Path, edit: Callable[[dict[str, dict[str, object]]], object], message: str
) -> None:
    header = json.loads(json.dumps(GOOD))
    assert read_header(written(tmp_path / "x.safetensors", header)).keys() == {"a", "b"}
    edit(header)
    refused(written(tmp_path / "x.safetensors", header), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {"dtype":"U8","shape":[20],"data_offsets":[0,20]}, "a": {"dtype":"U8","shape":[20],"data_offsets":[0,20]}}', "a is there twice"),
        ('{"a": {"dtype":"U8","dtype":"U8","shape":[20],"data_offsets":[0,20]}}', "dtype is there twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[1, 2]", "no JSON object"),
        ("{ ", "no JSON of a header"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": ' + "9" * 5000 + "}", "no JSON of a header"),
        (b'{"\xff\xfe": 1}', "no UTF-8"),
        (b"\x00" * 64, "no JSON of a header"),
    ],
)  # fmt: skip
def test_a_header_that_is_no_json_object_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    refused(written(tmp_path / "x.safetensors", text), message)


@pytest.mark.parametrize("length", [0, 1, 10_000, 2**31, MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_a_header_of_impossible_length_is_refused(tmp_path: Path, length: int) -> None:
    refused(written(tmp_path / "x.safetensors", GOOD, length=length), f"its header is said to have {length} bytes")


def test_a_header_longer_than_any_network_needs_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((200 * 2**20).to_bytes(8, "little"))
        file.truncate(300 * 2**20)  # a hole: no disk is used
    tracemalloc.start()
    try:
        refused(path, "at most")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_truncated_file_names_the_tensor_that_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "x.safetensors", GOOD)
    for missing in (1, 12, 13, 20):
        path.write_bytes(written(path, GOOD).read_bytes()[:-missing])
        refused(path, "the file is cut short")
    path.write_bytes(b"\x08")
    refused(path, "hold no header")


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedFile):
        read_header(tmp_path)


@given(position=st.integers(0, 300), value=st.integers(0, 255))
def test_whatever_byte_is_changed_the_answer_is_a_named_error_or_the_librarys(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    content = bytearray(save({"first": torch.arange(4.0), "second": torch.ones(2, 3, dtype=torch.bfloat16)}))
    content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(content)
    try:
        header = read_header(path)
    except MalformedFile:
        return
    with safetensors.safe_open(path, "pt") as opened:
        assert {name: list(info.shape) for name, info in header.items()} == {
            name: opened.get_slice(name).get_shape()
            for name in opened.keys()  # noqa: SIM118 (no mapping)
        }


@pytest.mark.parametrize(
    ("index", "error"),
    [
        ('{"weight_map": {"a": "m-1.safetensors", "a": "m-2.safetensors"}}', MalformedConfig),
        ('{"weight_map": ' + "[" * 100_000, MalformedConfig),
        ('{"weight_map": {"a": "m\\u0000.safetensors"}}', MalformedFile),
        ('{"weight_map": {"a": "../m.safetensors"}}', MalformedFile),
        ('{"weight_map": {"a": "..\\\\m.safetensors"}}', MalformedFile),
        ('{"weight_map": {"a": "/etc/passwd"}}', MalformedFile),
        ('{"weight_map": {"a": "..safetensors/"}}', MalformedFile),
    ],
)
def test_hostile_indices_are_refused(tmp_path: Path, index: str, error: type[Exception]) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(error, match=r"model\.safetensors\.index\.json"):
        TensorFiles.of_component(tmp_path, "model")
