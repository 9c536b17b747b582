"""Strict loading: build on the meta device, account for every key on both sides, then move to dtype and device. And the inverse."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.checkpoints.files import TensorFiles
from models.checkpoints.keymap import Entry, Table, applied
from models.checkpoints.loading import report
from models.checkpoints.safetensors_header import FLOATING
from models.errors import DtypeMismatch, MissingKeys, ShapeMismatch, UnknownKeys

Network = TypeVar("Network", bound=nn.Module)


ALIGNMENT = 64
"""Bytes; what torch's CPU allocator gives."""


def nothing(_name: str) -> bool:
    """No tensor of the file may be left over."""
    return False


def load_network(
    build: Callable[[], Network],
    files: TensorFiles,
    table: Table,
    *,
    device: torch.device,
    dtype: torch.dtype,
    is_unused: Callable[[str], bool] = nothing,
    is_float32: Callable[[str], bool] = nothing,
) -> Network:
    """Build a network and give it the tensors of a component.

    Args:
        build: makes the network; called with the meta device as default, so that it costs no memory.
        files: the component's tensors.
        table: how they become the network's parameters.
        device: where the network shall live.
        dtype: of all its floating-point parameters and buffers.
        is_unused: which names in the file belong to parts that the network leaves out.
        is_float32: which of the network's parameters stay in float32 whatever dtype is, because they overflow otherwise.

    Raises:
        MissingKeys, UnknownKeys, ShapeMismatch, DtypeMismatch: the file does not fit; the first few keys are named.
    """
    with torch.device("meta"):
        network = build()
    wanted = network.state_dict()
    entries = applied(table, wanted)
    _check(files, entries, wanted, is_unused)

    def tensor(entry: Entry) -> Tensor:
        return _read(entry, files, device, torch.float32 if is_float32(entry.native) else dtype)

    network.load_state_dict({entry.native: tensor(entry) for entry in entries}, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _read(entry: Entry, files: TensorFiles, device: torch.device, floating: torch.dtype) -> Tensor:
    """A parameter. Each part goes from the mapped file to the device before it is joined to others or converted: the CPU never holds
    a copy of it for another device."""
    parts: list[Tensor] = []
    for name in entry.foreign:
        parts.append(files.read(name).to(device))
        report(files.num_bytes(name))
    native = entry.row.to_native(parts)
    return _aligned(native.to(dtype=floating if native.is_floating_point() else native.dtype))


def _aligned(tensor: Tensor) -> Tensor:
    """The tensor where torch would have put it. Files place tensors anywhere, and CPU products of other alignment round otherwise."""
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor


def _check(
    files: TensorFiles, entries: list[Entry], wanted: dict[str, Tensor], is_unused: Callable[[str], bool]
) -> None:
    described = {name for entry in entries for name in entry.foreign}
    held = set(files.names())
    if missing := sorted(described - held):
        raise MissingKeys(files.where, "missing keys", missing)
    if unknown := sorted(name for name in held - described if not is_unused(name)):
        raise UnknownKeys(files.where, "unknown keys", unknown)
    misshapen: list[str] = []
    mistyped: list[str] = []
    for entry in entries:
        meta = torch.empty_like(wanted[entry.native], device="meta")
        for name, part in zip(entry.foreign, entry.row.to_foreign(meta), strict=True):
            if files.shape(name) != tuple(part.shape):
                misshapen.append(f"{name} is {list(files.shape(name))}, not {list(part.shape)}")
            if part.is_floating_point() != (files.dtype(name) in FLOATING):
                mistyped.append(
                    f"{name} is {files.dtype(name)}, not {'floating' if part.is_floating_point() else 'whole'}"
                )
    if misshapen:
        raise ShapeMismatch(files.where, "wrong shapes", misshapen)
    if mistyped:
        raise DtypeMismatch(files.where, "wrong types", mistyped)


def foreign_state(network: nn.Module, table: Table, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Return a network's parameters and buffers under the names of a file, ready to be written.

    Args:
        network: its parameters are not changed.
        table: the one that loads the file.
        dtype: of the floating-point tensors; None keeps what they have.
    """
    state = network.state_dict()
    foreign: dict[str, Tensor] = {}
    for entry in applied(table, state):
        parts = entry.row.to_foreign(state[entry.native])
        for name, part in zip(entry.foreign, parts, strict=True):
            foreign[name] = part.to(dtype) if dtype is not None and part.is_floating_point() else part
    return foreign
