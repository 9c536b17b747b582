"""Rows that share a UNet's forward: those of equal shapes go together, others one group after another.

A row is a picture, or one branch of its guidance. What does not change while it is denoised is computed once (UnetConstants) and
belongs to the row, never to the network. ControlNets run only for the rows that they steer; all rows share the UNet's forward.

Shape suffixes: B = rows, L = positions (H times W), S = text tokens, C = channels, H, W = rows and columns, T = times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.latents import packed, unpacked
from models.unet.attention import Context
from models.unet.controls import UnetControl, residuals
from models.unet.images import UnetImages, image_rows
from models.unet.perturbation import perturbed_rows
from models.unet.unet import Unet


@dataclass(frozen=True, eq=False)
class UnetConstants:
    """What a UNet knows of a row before it sees its latents. Nothing writes to it.

    Attributes:
        text_SC: its text features.
        vec_TC: what residual blocks read, at each of its times.
        rows: positions from top to bottom.
        columns: positions from left to right.
        controls: ControlNets that steer it, in the order in which they are summed.
        images: pictures that it looks at beside its text.
        perturbed: places of the self-attentions that are perturbed (models.unet.perturbation).
    """

    text_SC: Tensor
    vec_TC: Tensor
    rows: int
    columns: int
    controls: tuple[UnetControl, ...] = ()
    images: UnetImages | None = None
    perturbed: frozenset[int] = frozenset()

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        beside = sum(control.nbytes for control in self.controls) + (0 if self.images is None else self.images.nbytes)
        return self.text_SC.nbytes + self.vec_TC.nbytes + beside


@dataclass(frozen=True, eq=False)
class UnetRow:
    """A row before a step.

    Attributes:
        tokens_LC: latents of unit variance, with what stands beside them.
        constants: of the row.
        step: which of its times it stands at.
    """

    tokens_LC: Tensor
    constants: UnetConstants
    step: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows of equal shapes go through the network together."""
        return self.constants.rows, self.constants.columns, len(self.constants.text_SC)


def predictions(unet: Unet, rows: Sequence[UnetRow], query_chunk: int | None = None) -> list[Tensor]:
    """Predict what the network predicts, for every row, L x out_channels; a row does not depend on its company.

    Args:
        unet: the network.
        rows: each at its own time. For inference: no gradients.
        query_chunk: queries that attend at a time, to save memory; None for all.
    """
    groups: dict[tuple[int, int, int], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.shape, []).append(index)
    found: dict[int, Tensor] = {}
    for indices in groups.values():
        together = _together(unet, [rows[index] for index in indices], query_chunk)
        found |= dict(zip(indices, together, strict=True))
    return [found[index] for index in range(len(rows))]


def _together(unet: Unet, rows: Sequence[UnetRow], query_chunk: int | None) -> list[Tensor]:
    constants = [row.constants for row in rows]
    x_BCHW = unpacked(torch.stack([row.tokens_LC for row in rows]), constants[0].rows, constants[0].columns)
    vec_BC = torch.stack([row.constants.vec_TC[row.step] for row in rows])
    text_BSC = torch.stack([row.text_SC for row in constants])
    x_BCHW, steps = x_BCHW.contiguous(), [row.step for row in rows]
    added = residuals(x_BCHW, text_BSC, [row.controls for row in constants], steps, query_chunk)
    images = image_rows([row.images for row in constants], steps, x_BCHW.device)
    perturbed = perturbed_rows([row.perturbed for row in constants], x_BCHW.device)
    out_BCHW = unet.predict(x_BCHW, vec_BC, Context(text_BSC, query_chunk, images, perturbed), added)
    return list(packed(out_BCHW).unbind(0))
