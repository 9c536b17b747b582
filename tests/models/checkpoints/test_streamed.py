"""Files written tensor by tensor: what any reader of safetensors finds in them, and in which pieces they come."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoints.files import TensorFiles
from models.checkpoints.loading import watched
from models.checkpoints.streamed import ALIGNMENT, NAMES, Planned, write_component, write_streamed

TENSORS = {
    "scalar": torch.tensor(3, dtype=torch.int64),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "half": torch.randn(3, 5, dtype=torch.float16),
    "brain": torch.randn(4, 7).to(torch.bfloat16).T,
    "ünï": torch.randn(2, 2),
    "eight": torch.randn(8).to(torch.float8_e4m3fn),
    "empty": torch.zeros(0, 4),
}


def planned(tensors: dict[str, Tensor]) -> list[Planned]:
    return [Planned(name, t.dtype, tuple(t.shape), lambda t=t: t) for name, t in tensors.items()]


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(
        found[name].dtype == wanted[name].dtype
        and torch.equal(found[name].view(torch.uint8) if found[name].dim() else found[name],
                        wanted[name].contiguous().view(torch.uint8) if wanted[name].dim() else wanted[name])
        for name in wanted
    )  # fmt: skip


def test_the_library_reads_what_was_written(tmp_path: Path) -> None:
    write_streamed(tmp_path / "x.safetensors", planned(TENSORS))
    assert same(load_file(tmp_path / "x.safetensors"), TENSORS)
    files = TensorFiles.of_file(tmp_path / "x.safetensors")
    assert all(files.dtype(name) == NAMES[tensor.dtype] for name, tensor in TENSORS.items())


def test_tensors_of_a_real_networks_sizes_lie_where_products_want_them(tmp_path: Path) -> None:
    for length in range(1, 40, 7):
        path = tmp_path / f"{length}.safetensors"
        write_streamed(path, planned({"n" * length: torch.ones(64, 3), "b": torch.ones(32, dtype=torch.bfloat16)}))
        files = TensorFiles.of_file(path)
        assert {files.read(name).data_ptr() % ALIGNMENT for name in files.names()} == {0}


@pytest.mark.parametrize(("shard_bytes", "expected"), [(1000, 1), (400, 3), (1, 3)])
def test_large_components_come_in_shards(tmp_path: Path, shard_bytes: int, expected: int) -> None:
    tensors = {name: torch.randn(10, 10) for name in "abc"} if shard_bytes < 1000 else {"a": torch.randn(10, 10)}
    write_component(tmp_path, "model", planned(tensors), shard_bytes)
    assert len(list(tmp_path.glob("*.safetensors"))) == expected
    files = TensorFiles.of_component(tmp_path, "model")
    assert same({name: files.read(name) for name in files.names()}, tensors)


def test_each_tensor_is_read_once_and_reported(tmp_path: Path) -> None:
    reads: list[str] = []
    seen: list[int] = []

    def read(name: str) -> Tensor:
        reads.append(name)
        return torch.ones(4)

    with watched(seen.append):
        write_streamed(
            tmp_path / "x.safetensors",
            [Planned(name, torch.float32, (4,), lambda name=name: read(name)) for name in "ab"],
        )
    assert (reads, seen) == (["a", "b"], [16, 16])


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_text("mine")
    with pytest.raises(FileExistsError):
        write_streamed(tmp_path / "x.safetensors", [])
