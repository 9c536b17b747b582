"""Pickled weights: what is read of them, and that nothing in them is ever executed."""

import os
import pickle
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from models.errors import UnsafeFormat
from models.importing.pickles import converted, read_pickle

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(4, dtype=torch.bfloat16)}


class Payload:
    """Unpickled by an ordinary reader, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def saved(path: Path, value: object, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


@pytest.mark.parametrize("wrap", [dict, OrderedDict, lambda s: {"state_dict": s, "epoch": 3, "note": "x"}])
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_in_dicts_become_safetensors(tmp_path: Path, wrap: Callable[[Any], object], zipped: bool) -> None:
    path = saved(tmp_path / "x.ckpt", wrap(STATE), _use_new_zipfile_serialization=zipped)
    converted(path, tmp_path / "x.safetensors") if zipped and wrap is dict else None
    found = load_file(tmp_path / "x.safetensors") if zipped and wrap is dict else read_pickle(path)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) and found[name].dtype == STATE[name].dtype for name in STATE)


def test_nested_dicts_are_named_with_dots_and_parameters_are_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pt", {"net": {"layer": OrderedDict(weight=nn.Parameter(torch.ones(2)))}})
    ((name, tensor),) = read_pickle(path).items()
    assert (name, tensor.tolist(), tensor.requires_grad) == ("net.layer.weight", [1, 1], False)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_payload_is_refused_by_name_and_never_run(tmp_path: Path, zipped: bool) -> None:
    mark = tmp_path / "executed"
    path = saved(tmp_path / "x.bin", STATE | {"evil": Payload(mark)}, _use_new_zipfile_serialization=zipped)
    started = time.perf_counter()
    with pytest.raises(UnsafeFormat, match=r"x\.bin is refused: it wants to call posix\.system"):
        read_pickle(path)
    assert time.perf_counter() - started < 1
    assert not mark.exists()


def test_a_refusal_is_handed_on_from_the_process_that_reads(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.bin", {"evil": Payload(tmp_path / "executed")})
    with pytest.raises(UnsafeFormat, match=r"^/.*x\.bin is refused: it wants to call posix\.system"):
        converted(path, tmp_path / "x.safetensors")
    assert {item.name for item in tmp_path.iterdir()} == {"x.bin"}


def test_the_payload_of_these_tests_works(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    program = f"import pickle, sys; pickle.loads({pickle.dumps(Payload(mark))!r})"
    subprocess.run([sys.executable, "-c", program.replace("__mp_main__", "__main__")], check=True, cwd=Path.cwd())
    assert mark.exists()


SHARED: dict[str, object] = {"x": torch.ones(1)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, "a is a int, not a tensor"),
        ({"a": "text"}, "a is a str, not a tensor"),
        ({"a": {"b": [torch.ones(1)]}}, r"a\.b is a list"),
        ({3: torch.ones(1)}, "ends in a int"),
        (torch.ones(2), "it holds a Tensor"),
        ([torch.ones(2)], "it holds a list"),
        ({}, "it holds no tensors"),
        ({"state_dict": 5}, "it holds a int"),
        ({"a": SHARED, "b": SHARED}, "is there twice"),
        ({"a": torch.ones(1).expand(10**9)}, "a is larger than what is stored of it"),
        ({f"v{i}": torch.ones(3000) if i == 0 else None for i in range(2)}, "v1 is a NoneType"),
        ({"a": torch.eye(3).to_sparse()}, "a is a tensor of an unusual kind"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "a is a tensor of an unusual kind"),
        ({"a": torch.empty(10**12, device="meta")}, "a is a tensor of an unusual kind"),
    ],
)
def test_anything_but_tensors_in_dicts_is_refused(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(UnsafeFormat, match=message):
        read_pickle(saved(tmp_path / "x.pt", value))


def test_a_thousand_views_of_one_tensor_are_refused(tmp_path: Path) -> None:
    large = torch.ones(100_000)
    with pytest.raises(UnsafeFormat, match="larger than what is stored of them"):
        read_pickle(saved(tmp_path / "x.pt", {f"v{i}": large for i in range(1000)}))


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFormat, match=r"it wants to call torch\.nn\.modules\.linear\.Linear"):
        read_pickle(saved(tmp_path / "x.pt", nn.Linear(2, 2)))


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(60), b"\x80\x04" + b"(" * 5000]
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(UnsafeFormat, match=r"x\.ckpt is refused"):
        read_pickle(tmp_path / "x.ckpt")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.ckpt", STATE)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnsafeFormat, match=r"x\.ckpt is refused"):
        read_pickle(path)


def test_a_compressed_archive_is_refused_before_it_grows(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.ckpt", {"a": torch.zeros(1000)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "y.ckpt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(UnsafeFormat, match="records are compressed"):
        read_pickle(tmp_path / "y.ckpt")
