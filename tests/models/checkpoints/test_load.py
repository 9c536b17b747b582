"""Strict loading: a file that does not fit is refused, and the error names what does not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.checkpoints.files import TensorFiles
from models.checkpoints.keymap import Fused, HalvesSwapped, LinearAsConv, Same, applied
from models.checkpoints.load import foreign_state, load_network
from models.checkpoints.loading import watched, weight_bytes
from models.errors import CheckpointError, DtypeMismatch, MissingKeys, ShapeMismatch, UnknownKeys

TABLE = (Fused("fused.weight", ("q.weight", "k.weight")), Same("plain.{w}", "renamed.{w}"))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fused = nn.Linear(3, 4, bias=False)
        self.plain = nn.Linear(2, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file(foreign_state(Network(), TABLE), tmp_path / "model.safetensors")
    return tmp_path


def load(folder: Path, *, is_unused: Callable[[str], bool] = lambda name: False) -> Network:
    return load_network(
        Network,
        TensorFiles.of_component(folder, "model"),
        TABLE,
        device=torch.device("cpu"),
        dtype=torch.float32,
        is_unused=is_unused,
    )


def change(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    state = load_file(folder / "model.safetensors")
    edit(state)
    save_file(state, folder / "model.safetensors")


def test_what_is_written_is_what_is_read(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    assert sorted(state) == ["k.weight", "q.weight", "renamed.bias", "renamed.weight"]
    network = load(folder)
    assert torch.equal(network.fused.weight, torch.cat([state["q.weight"], state["k.weight"]]))
    assert torch.equal(network.plain.bias, state["renamed.bias"])


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda state: state.pop("k.weight"), MissingKeys, r"missing keys: k\.weight"),
        (lambda state: state.update(extra=torch.ones(1)), UnknownKeys, "unknown keys: extra"),
        (
            lambda state: state.update({"q.weight": torch.ones(2, 4)}),
            ShapeMismatch,
            r"q\.weight is \[2, 4\], not \[2, 3\]",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    folder: Path, edit: Callable[[dict[str, Tensor]], object], error: type[CheckpointError], message: str
) -> None:
    change(folder, edit)
    with pytest.raises(error, match=message):
        load(folder)


def test_only_the_first_few_of_many_keys_are_named(folder: Path) -> None:
    change(folder, lambda state: state.update({f"x{i}": torch.ones(1) for i in range(9)}))
    with pytest.raises(UnknownKeys, match="x0, x1, x2, x3, x4 and 4 more") as caught:
        load(folder)
    assert len(caught.value.keys) == 9


def test_tensors_of_parts_that_are_left_out_are_allowed_by_name(folder: Path) -> None:
    change(folder, lambda state: state.update({"head.weight": torch.ones(1)}))
    load(folder, is_unused=lambda name: name == "head.weight")


def test_halves_are_swapped_both_ways() -> None:
    row = HalvesSwapped("a", "b")
    x = torch.arange(4.0)
    assert row.to_native([x]).tolist() == [2, 3, 0, 1]
    assert torch.equal(row.to_foreign(row.to_native([x]))[0], x)


def test_a_matrix_becomes_a_convolution_and_back() -> None:
    row = LinearAsConv("a", "b")
    x = torch.arange(6.0).reshape(2, 3)
    assert row.to_native([x]).shape == (2, 3, 1, 1)
    assert torch.equal(row.to_foreign(row.to_native([x]))[0], x)


def test_numbers_in_names_are_carried_over() -> None:
    (entry,) = applied((Same("a.{i}.b.{j}.{w}", "x.{j}.y.{i}.{w}"),), ["a.3.b.12.bias"])
    assert entry.foreign == ("x.12.y.3.bias",)


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ((Same("a", "x"),), ["a", "b"]),
        ((Same("a", "x"), Same("a", "y")), ["a"]),
        ((Same("a", "x"), Same("b", "x")), ["a", "b"]),
    ],
)
def test_a_table_describes_everything_exactly_once(table: tuple[Same, ...], names: list[str]) -> None:
    with pytest.raises(AssertionError):
        applied(table, names)


def test_whole_numbers_in_place_of_weights_are_refused(folder: Path) -> None:
    change(folder, lambda state: state.update({"q.weight": torch.ones(2, 3, dtype=torch.int8)}))
    with pytest.raises(DtypeMismatch, match=r"wrong types: q\.weight is I8, not floating"):
        load(folder)


def test_whoever_waits_sees_every_byte_go_by(folder: Path) -> None:
    seen: list[int] = []
    with watched(seen.append):
        load(folder)
    load(folder)
    assert sum(seen) == sum(tensor.nbytes for tensor in load_file(folder / "model.safetensors").values())
    assert sum(seen) <= weight_bytes(folder)


def test_loading_onto_no_device_reads_no_data_and_checks_all_the_same(folder: Path) -> None:
    network = load_network(
        Network, TensorFiles.of_component(folder, "model"), TABLE, device=torch.device("meta"), dtype=torch.bfloat16
    )
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
