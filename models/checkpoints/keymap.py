"""The small language of key-mapping tables: rows that say how tensors of a file become parameters of ours, and back.

A name may hold {i}, {j}, {k} (numbers, equal on both sides), {w} (weight or bias) and {name} (anything). A table is checked against the
names of a real network when it is applied: every parameter is described by exactly one row, and no tensor of the file twice.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

_PLACEHOLDERS = {
    "{i}": r"(?P<i>\d+)",
    "{j}": r"(?P<j>\d+)",
    "{k}": r"(?P<k>\d+)",
    "{w}": r"(?P<w>weight|bias)",
    "{name}": r"(?P<name>.+)",
}


@dataclass(frozen=True)
class Same:
    """The tensor `foreign` is the parameter `native`."""

    native: str
    foreign: str

    def foreign_names(self) -> tuple[str, ...]:
        return (self.foreign,)

    def to_native(self, parts: Sequence[Tensor]) -> Tensor:
        (part,) = parts
        return part

    def to_foreign(self, parameter: Tensor) -> tuple[Tensor, ...]:
        return (parameter,)


@dataclass(frozen=True)
class Fused:
    """Parts that lie one below the other in the parameter are tensors of their own in the file: of these sizes, or equal ones."""

    native: str
    foreign: tuple[str, ...]
    sizes: tuple[int, ...] | None = None

    def foreign_names(self) -> tuple[str, ...]:
        return self.foreign

    def to_native(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts))

    def to_foreign(self, parameter: Tensor) -> tuple[Tensor, ...]:
        sizes = self.sizes or (parameter.shape[0] // len(self.foreign),) * len(self.foreign)
        bounds = list(accumulate(sizes))[:-1]
        return tuple(part.clone() for part in parameter.tensor_split(bounds))


@dataclass(frozen=True)
class HalvesSwapped(Same):
    """The upper half in the file is the lower half of the parameter."""

    def to_native(self, parts: Sequence[Tensor]) -> Tensor:
        (part,) = parts
        return torch.cat(part.chunk(2)[::-1])

    def to_foreign(self, parameter: Tensor) -> tuple[Tensor, ...]:
        return (torch.cat(parameter.chunk(2)[::-1]),)


@dataclass(frozen=True)
class LinearAsConv(Same):
    """A matrix in the file is a 1 x 1 convolution here."""

    def to_native(self, parts: Sequence[Tensor]) -> Tensor:
        (part,) = parts
        return part[..., None, None]

    def to_foreign(self, parameter: Tensor) -> tuple[Tensor, ...]:
        return (parameter[..., 0, 0],)


@dataclass(frozen=True)
class ConvAsLinear(Same):
    """A 1 x 1 convolution in the file is a matrix here."""

    def to_native(self, parts: Sequence[Tensor]) -> Tensor:
        (part,) = parts
        return part[..., 0, 0]

    def to_foreign(self, parameter: Tensor) -> tuple[Tensor, ...]:
        return (parameter[..., None, None],)


Row = Same | Fused
Table = tuple[Row, ...]


@dataclass(frozen=True)
class Entry:
    """One row applied to one parameter: its name here, its names in the file, and the way between them."""

    native: str
    foreign: tuple[str, ...]
    row: Row


def applied(table: Table, native_names: Iterable[str]) -> list[Entry]:
    """Find the row of every parameter and fill in its names.

    Args:
        table: rows; together they describe each parameter exactly once.
        native_names: the network's parameters and buffers.

    Returns:
        One entry for each name, in order.
    """
    patterns = [(re.compile(_pattern(row.native)), row) for row in table]
    entries: list[Entry] = []
    for name in native_names:
        found = [(match, row) for pattern, row in patterns if (match := pattern.fullmatch(name))]
        assert len(found) == 1, f"{len(found)} rows of the table describe {name}"
        match, row = found[0]
        entries.append(Entry(name, tuple(foreign.format(**match.groupdict()) for foreign in row.foreign_names()), row))
    foreign = [name for entry in entries for name in entry.foreign]
    assert len(foreign) == len(set(foreign)), "the table describes a tensor of the file twice"
    return entries


def _pattern(name: str) -> str:
    return "".join(_PLACEHOLDERS.get(part, re.escape(part)) for part in re.split(r"(\{\w+\})", name))
