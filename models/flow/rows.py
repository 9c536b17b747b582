"""Rows of a transformer: what it knows of each before a step, and what ControlNets add to a picture's stream after every block.

Shape suffixes: L = tokens, C = channels, T = times, N = vectors, P = rotated pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple, Protocol

from torch import Tensor


class BlockResiduals(NamedTuple):
    """What is added to the picture's tokens after blocks of either kind, L x C each; fewer than blocks: neighbours share one."""

    doubles: Sequence[Tensor]
    singles: Sequence[Tensor]

    def spread(self, num_doubles: int, num_singles: int) -> list[Tensor | None]:
        """One for each block of a transformer, doubles first; None where nothing is added."""
        return [*_spread(self.doubles, num_doubles), *_spread(self.singles, num_singles)]


def _spread(parts: Sequence[Tensor], num_blocks: int) -> list[Tensor | None]:
    if not parts:
        return [None] * num_blocks
    run = ceil(num_blocks / len(parts))
    return [parts[block // run] for block in range(num_blocks)]


class Steers(Protocol):
    """A network that makes them."""

    def residuals(
        self, tokens_LC: Tensor, hint_LC: Tensor, constants: "RowConstants", step: int, query_chunk: int | None
    ) -> BlockResiduals:
        """Of a row's picture tokens at a step, at scale 1."""
        ...


@dataclass(frozen=True, eq=False)
class FlowControl:
    """One ControlNet beside one row. Nothing writes to it.

    Attributes:
        network: which rows may share; it is not this row's.
        hint_LC: what it makes of the row's picture, as wide as the network.
        constants: what it knows of the row.
        scales: strength of what it adds at each step; it does not run where that is 0.
    """

    network: Steers
    hint_LC: Tensor
    constants: "RowConstants"
    scales: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class RowConstants:
    """What a transformer knows of a row before it sees its latents. Nothing writes to it.

    Attributes:
        text_LC: its text features, as wide as the network.
        turns_LP: rotation of its text tokens, then of its picture's and its references'.
        modulation_TNC: what modulates every sublayer, at each of its times.
        controls: ControlNets that steer it, in the order in which they are summed.
    """

    text_LC: Tensor
    turns_LP: Tensor
    modulation_TNC: Tensor
    controls: tuple[FlowControl, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return self.text_LC.nbytes + self.turns_LP.nbytes + self.modulation_TNC.nbytes


@dataclass(frozen=True, eq=False)
class PackedRow:
    """A row before a step.

    Attributes:
        tokens_LC: picture tokens, then reference tokens.
        constants: of the row.
        step: which of its times it stands at.
    """

    tokens_LC: Tensor
    constants: RowConstants
    step: int


Added = list[Tensor | None]
"""For every block what is added after it to a row's picture, L x C."""


def added_to(rows: Sequence[PackedRow], blocks: tuple[int, int], query_chunk: int | None) -> list[Added | None]:
    """What all ControlNets of each row add, None for a row without any at its step.

    Both branches of a row's guidance have the same hint, and what is made of it once serves both.
    """
    made: dict[tuple[int, int], Added] = {}
    found: list[Added | None] = []
    for row in rows:
        total: Added | None = None
        for control in row.constants.controls:
            scale, key = control.scales[row.step], (id(control.hint_LC), id(control.network))
            if not scale:
                continue
            if key not in made:
                raw = control.network.residuals(
                    row.tokens_LC, control.hint_LC, control.constants, row.step, query_chunk
                )
                made[key] = [part if part is None else part * scale for part in raw.spread(*blocks)]
            more = made[key]
            total = more if total is None else [_sum(one, other) for one, other in zip(total, more, strict=True)]
        found.append(total)
    return found


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one + other
