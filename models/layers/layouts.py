"""How the tokens of several rows lie in one tensor. Linear layers and norms do not care; attention stays within a row.

Rows of equal lengths lie side by side, B x L; a single row is one of them. Rows of different lengths lie one after another, 1 x L
with no padding: row after row, its text before its picture, where both streams are one.

Shape suffixes: B = rows, L = tokens, 2 = queries and keys, N = heads, D = channels of a head, C = channels, x = any dimensions,
P = rotated pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from models.layers.attention import attended
from models.layers.rope import rotated


class Layout(Protocol):
    """Where the tokens of every row are."""

    def joined(self, text_BLx: Tensor, image_BLx: Tensor) -> Tensor:
        """Both streams as one."""
        ...

    def parted(self, joint_BLx: Tensor) -> tuple[Tensor, Tensor]:
        """Text and picture again, contiguous: only then a linear layer adds its bias before it rounds, as Diffusers' do."""
        ...

    def attend(self, qk_BL2ND: Tensor, v_BLND: Tensor) -> Tensor:
        """What every token gathers from the tokens of its row, B L C. Queries and keys are contiguous, and not yet rotated."""
        ...


@dataclass(frozen=True)
class SideBySide:
    """Rows of equal lengths.

    Attributes:
        text_length: text tokens of a row.
        turns_BLP: rotation of every token.
        query_chunk: queries that attend at a time; None for all.
    """

    text_length: int
    turns_BLP: Tensor
    query_chunk: int | None = None

    def joined(self, text_BLx: Tensor, image_BLx: Tensor) -> Tensor:
        return torch.cat([text_BLx, image_BLx], dim=1)

    def parted(self, joint_BLx: Tensor) -> tuple[Tensor, Tensor]:
        text_BLx, image_BLx = joint_BLx.tensor_split([self.text_length], dim=1)
        return text_BLx.contiguous(), image_BLx.contiguous()

    def attend(self, qk_BL2ND: Tensor, v_BLND: Tensor) -> Tensor:
        return attended(rotated(qk_BL2ND, self.turns_BLP[:, :, None, None]), v_BLND, self.query_chunk)


@dataclass(frozen=True)
class OneAfterAnother:
    """Rows of any lengths.

    Attributes:
        text_lengths: text tokens of every row.
        image_lengths: picture tokens of every row, references included.
        turns_BLP: rotation of every token, B = 1.
        query_chunk: queries that attend at a time; None for all.
    """

    text_lengths: Sequence[int]
    image_lengths: Sequence[int]
    turns_BLP: Tensor
    query_chunk: int | None = None

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of every row."""
        return [text + image for text, image in zip(self.text_lengths, self.image_lengths, strict=True)]

    def joined(self, text_BLx: Tensor, image_BLx: Tensor) -> Tensor:
        texts, images = (
            text_BLx.split_with_sizes(self.text_lengths, dim=1),
            image_BLx.split_with_sizes(self.image_lengths, dim=1),
        )
        return torch.cat([part for pair in zip(texts, images, strict=True) for part in pair], dim=1)

    def parted(self, joint_BLx: Tensor) -> tuple[Tensor, Tensor]:
        pairs = zip(self.text_lengths, self.image_lengths, strict=True)
        parts = joint_BLx.split_with_sizes([length for pair in pairs for length in pair], dim=1)
        return torch.cat(parts[::2], dim=1), torch.cat(parts[1::2], dim=1)

    def attend(self, qk_BL2ND: Tensor, v_BLND: Tensor) -> Tensor:
        turned_BL2ND = rotated(qk_BL2ND, self.turns_BLP[:, :, None, None])
        rows = zip(
            turned_BL2ND.split_with_sizes(self.lengths, dim=1),
            v_BLND.split_with_sizes(self.lengths, dim=1),
            strict=True,
        )
        return torch.cat([attended(qk, v, self.query_chunk) for qk, v in rows], dim=1)
