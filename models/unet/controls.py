"""ControlNets at work on rows that share a UNet's forward: every network runs once, for the rows that use it at this step.

Shape suffixes: B = rows, C = channels, H, W = rows and columns, S = text tokens, T = steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.unet.attention import Context
from models.unet.unet import Encoder, Residuals


@dataclass(frozen=True, eq=False)
class UnetControl:
    """One ControlNet beside one row, or one branch of its guidance. Nothing writes to it.

    Attributes:
        network: models.control.controlnet.ControlNet. Rows may share it; it is not this row's.
        hint_CHW: what it makes of the row's picture.
        vec_TC: what its residual blocks read, at each of the row's times.
        scales: strength of what it adds at each step; it does not run where that is 0.
    """

    network: Encoder
    hint_CHW: Tensor
    vec_TC: Tensor
    scales: tuple[float, ...]

    @property
    def nbytes(self) -> int:
        """Memory of the row's own that it takes."""
        return self.hint_CHW.nbytes + self.vec_TC.nbytes


@dataclass(frozen=True, eq=False)
class _Use:
    """A network's turn: for which row, as which of its controls, at which step."""

    row: int
    place: int
    step: int
    control: UnetControl


def residuals(
    x_BCHW: Tensor,
    text_BSC: Tensor,
    controls: Sequence[Sequence[UnetControl]],
    steps: Sequence[int],
    query_chunk: int | None = None,
) -> Residuals | None:
    """What all controls of all rows add to the maps of the UNet; zeros for rows without any, None when no row has one at its step.

    Args:
        x_BCHW: latents as the UNet sees them, with what stands beside them behind.
        text_BSC: text features.
        controls: of each row, in the order in which they are summed.
        steps: at which each row stands.
        query_chunk: queries that attend at a time, to save memory; None for all.
    """
    uses: dict[Encoder, list[_Use]] = {}
    for row, (own, step) in enumerate(zip(controls, steps, strict=True)):
        for place, control in enumerate(own):
            if control.scales[step]:
                uses.setdefault(control.network, []).append(_Use(row, place, step, control))
    if not uses:
        return None
    found: dict[tuple[int, int], list[Tensor]] = {}
    for network, turns in uses.items():
        found |= _scaled(network, turns, x_BCHW, text_BSC, query_chunk)
    *down, middle = _summed(found, len(controls))
    return Residuals(down, middle)


def _scaled(
    network: Encoder, uses: Sequence[_Use], x_BCHW: Tensor, text_BSC: Tensor, query_chunk: int | None
) -> dict[tuple[int, int], list[Tensor]]:
    """Run a network for all its uses; each one's maps, C x H x W, times its scale, by row and place."""
    rows = [use.row for use in uses]
    latents_BCHW = x_BCHW[rows, : network.params.in_channels].contiguous()
    vec_BC = torch.stack([use.control.vec_TC[use.step] for use in uses])
    hint_BCHW = torch.stack([use.control.hint_CHW for use in uses])
    added: Residuals = network(latents_BCHW, vec_BC, Context(text_BSC[rows], query_chunk), hint_BCHW)
    maps = (*added.down, added.middle)
    return {
        (use.row, use.place): [map_BCHW[index] * use.control.scales[use.step] for map_BCHW in maps]
        for index, use in enumerate(uses)
    }


def _summed(found: dict[tuple[int, int], list[Tensor]], num_rows: int) -> list[Tensor]:
    """The maps of all rows, B x C x H x W each; a row's are summed in the order of its controls, whatever order they were run in."""
    nothing = [torch.zeros_like(map_CHW) for map_CHW in next(iter(found.values()))]
    rows: list[list[Tensor]] = [nothing] * num_rows
    for row, place in sorted(found):
        maps, before = found[row, place], rows[row]
        rows[row] = maps if before is nothing else [sum_ + more for sum_, more in zip(before, maps, strict=True)]
    return [torch.stack(of_rows) for of_rows in zip(*rows, strict=True)]
