"""Adaptive layer norm (Peebles & Xie 2022, arXiv:2212.09748): shifts, scales and gates made from a conditioning vector.

Shape suffixes: B = rows, L = tokens, C = channels, T = times, N = vectors.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-6
VECTORS = 3
"""A sublayer's shift, factor and gate."""


class Sublayer(Protocol):
    """How the tokens of a stream enter a sublayer and leave it, each by its own row's vectors."""

    def norm(self, x_BLC: Tensor) -> Tensor:
        """Layer norm, then factor and shift: what the sublayer reads."""
        ...

    def add(self, x_BLC: Tensor, y_BLC: Tensor) -> Tensor:
        """Add what the sublayer made, gated. It may write over y_BLC."""
        ...


class Modulated(NamedTuple):
    """A sublayer of rows that lie side by side: vectors of one row, C, or of every row, B x 1 x C.

    In float32 neighbouring operations are one; in narrower types each is rounded by itself, as Diffusers rounds.
    """

    shift: Tensor
    factor: Tensor
    """One more than what literature calls scale."""
    gate: Tensor

    def norm(self, x_BLC: Tensor) -> Tensor:
        if x_BLC.dtype is not torch.float32:
            return self.factor * normalised(x_BLC) + self.shift
        if self.shift.dim() == 1:
            return functional.layer_norm(x_BLC, self.shift.shape, self.factor, self.shift, NORM_EPS)
        return torch.addcmul(self.shift, normalised(x_BLC), self.factor)

    def add(self, x_BLC: Tensor, y_BLC: Tensor) -> Tensor:
        if y_BLC.dtype is not torch.float32:
            return x_BLC + self.gate * y_BLC
        return torch.addcmul(x_BLC, self.gate, y_BLC)


class ModulatedSegments(NamedTuple):
    """A sublayer of rows that lie one after another, 1 x L x C in all. Without gradients."""

    rows: Sequence[Modulated]
    """Of every row, its vectors, C each."""
    lengths: Sequence[int]
    """Its tokens."""

    def norm(self, x_BLC: Tensor) -> Tensor:
        normed_BLC = normalised(x_BLC)
        for part_BLC, row in zip(normed_BLC.split_with_sizes(self.lengths, dim=1), self.rows, strict=True):
            part_BLC.mul_(row.factor).add_(row.shift)
        return normed_BLC

    def add(self, x_BLC: Tensor, y_BLC: Tensor) -> Tensor:
        for part_BLC, row in zip(y_BLC.split_with_sizes(self.lengths, dim=1), self.rows, strict=True):
            part_BLC.mul_(row.gate)
        return y_BLC.add_(x_BLC)


class Modulation(nn.Module):
    """One linear layer that makes the vectors of `num_sublayers` sublayers (BFL `Modulation`)."""

    def __init__(self, hidden_size: int, num_sublayers: int, *, bias: bool) -> None:
        super().__init__()
        self.lin = nn.Linear(hidden_size, VECTORS * num_sublayers * hidden_size, bias=bias)

    def forward(self, active_TC: Tensor) -> Tensor:
        """Read conditioning vectors that have passed SiLU; the sublayers' vectors lie one after another."""
        return self.lin(active_TC)


def modulation_table(made: Sequence[Tensor], hidden_size: int) -> Tensor:
    """Join what Modulations made, sublayer after sublayer: shift, factor and gate each.

    Args:
        made: T x (3 x sublayers x C) each; a last layer's, that has no gate, padded.
        hidden_size: C.

    Returns:
        T x N x C, with one added to every scale.
    """
    joined = torch.cat(list(made), dim=-1)
    table_TNC = joined.view(joined.shape[0], -1, hidden_size)
    table_TNC[:, 1::VECTORS] += 1
    return table_TNC


def side_by_side(table_BNC: Tensor) -> list[Modulated]:
    """The sublayers of rows that lie side by side."""
    columns = table_BNC[0] if table_BNC.shape[0] == 1 else table_BNC.transpose(0, 1)[:, :, None]
    return _sublayers(columns)


def one_after_another(tables: Sequence[Tensor], lengths: Sequence[Sequence[int]]) -> list[ModulatedSegments]:
    """The sublayers of rows that lie one after another.

    Args:
        tables: N x C of every row.
        lengths: of the stream of every sublayer, the tokens of every row.
    """
    by_row = [_sublayers(table_NC) for table_NC in tables]
    return [ModulatedSegments(rows, tokens) for rows, tokens in zip(zip(*by_row, strict=True), lengths, strict=True)]


def normalised(x_BLC: Tensor) -> Tensor:
    """Layer norm without parameters."""
    return functional.layer_norm(x_BLC, x_BLC.shape[-1:], eps=NORM_EPS)


def _sublayers(columns: Tensor) -> list[Modulated]:
    vectors = columns.unbind(0)
    return [Modulated(*vectors[i : i + VECTORS]) for i in range(0, len(vectors), VECTORS)]
