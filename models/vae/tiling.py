"""The fine part of an encoder or decoder in bounded memory: overlapping tiles, blended linearly.

Only the two finest levels of resolution need tiles. What lies behind them, the middle attention included, is 1/16 of the
positions and is computed whole. Convolutions of the fine part see less than MARGIN pixels around a position, so a tile without
its margin is exact except for group norm, which wants the statistics of the whole picture. These are measured in passes over
all tiles before the one that counts: the first with each tile's own statistics, the next with what the one before found. After n
passes the first n norms are exact and the others nearly; as many passes as norms give the whole picture but for rounding.

Bound: with the standard two passes, pictures decoded with flux-nano's trained weights in four tiles differ from whole ones by
at most 2/255, 0.2/255 on average (a tile's own statistics: up to 39/255). docs/decisions/0012 has the measurements.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor

from models.vae.blocks import Normalise
from models.vae.statistics import Gathered, Statistics, given

ALIGNMENT = 16
MARGIN = 24
"""Pixels at an inner edge of a tile that count for nothing: convolutions there see zeros instead of the neighbour."""
MIN_OVERLAP = 64

Fine = Callable[[Tensor, Normalise], Tensor]
"""The fine part of a network: its input, and how it shall apply its group norms."""


@dataclass(frozen=True)
class Tiling:
    """When a picture is taken in tiles, and in which. Lengths are pixels.

    Attributes:
        threshold: number of pixels up to which a picture is taken whole, as long as memory suffices.
        tile: side of a tile, a multiple of 16; a picture no longer on either side is taken whole too.
        overlap: what neighbours share at least, a multiple of 16 from 64 to half a tile.
        min_tile: side under which tiles are not halved any further when memory runs out.
        passes: over the tiles to measure the statistics of group norms; each costs as much as the one that counts.
    """

    threshold: int = 2**21
    tile: int = 1056
    overlap: int = MIN_OVERLAP
    min_tile: int = 256
    passes: int = 2

    def __post_init__(self) -> None:
        if self.tile % ALIGNMENT or self.overlap % ALIGNMENT or not MIN_OVERLAP <= self.overlap <= self.tile // 2:
            raise ValueError(
                f"tile {self.tile} and overlap {self.overlap} must be multiples of {ALIGNMENT}, "
                f"the overlap at least {MIN_OVERLAP} and at most half a tile"
            )

    def finer(self) -> Iterator["Tiling"]:
        """Yield these tiles, then tiles of half the side, which need a quarter of the memory, and so on."""
        tiling = self
        yield tiling
        while (tile := tiling.tile // 2 // ALIGNMENT * ALIGNMENT) >= max(self.min_tile, 2 * MIN_OVERLAP):
            tiling = Tiling(self.threshold, tile, MIN_OVERLAP, self.min_tile, self.passes)
            yield tiling


@dataclass(frozen=True)
class Geometry:
    """What a network does to the shape of its input.

    Attributes:
        pixels_in: side in pixels of a position of the input: 1 for an encoder, 4 for a decoder's fine part at full size.
        pixels_out: side in pixels of a position of the output.
        channels_out: channels of the output.
    """

    pixels_in: int
    pixels_out: int
    channels_out: int


@dataclass(frozen=True)
class Cut:
    """One tile along one axis.

    Attributes:
        side: in pixels.
        core: pixels of the tile that it alone contributes to statistics.
        source: positions of the input.
        target: positions of the output.
        weights: of the output's positions; those of all tiles sum to one.
    """

    side: int
    core: slice
    source: slice
    target: slice
    weights: Tensor


def in_tiles(fine: Fine, x_BCHW: Tensor, geometry: Geometry, tiling: Tiling) -> Tensor:
    """Apply the fine part of a network tile by tile, one picture at a time.

    All tiles of a picture have the same size. Sums are float32.

    Args:
        fine: of an encoder or decoder.
        x_BCHW: its input; both sides in pixels are multiples of 16.
        geometry: of the fine part.
        tiling: which tiles.

    Returns:
        Its output, in the dtype of x_BCHW.
    """
    rows, columns = (cuts(side, geometry, tiling, x_BCHW.device) for side in x_BCHW.shape[2:])
    tiles = list(product(rows, columns))
    shape = (len(x_BCHW), geometry.channels_out, rows[-1].target.stop, columns[-1].target.stop)
    sum_BCHW = torch.zeros(shape, dtype=torch.float32, device=x_BCHW.device)
    for picture, sum_CHW in enumerate(sum_BCHW):
        one_1CHW = x_BCHW[picture : picture + 1]
        normalise = given(_measured(fine, one_1CHW, tiles, tiling.passes))
        for row, column in tiles:
            tile_1CHW = fine(one_1CHW[:, :, row.source, column.source], normalise)
            weight_HW = row.weights[:, None] * column.weights
            sum_CHW[:, row.target, column.target] += tile_1CHW[0].float() * weight_HW
    return sum_BCHW.to(x_BCHW.dtype)


def _measured(fine: Fine, one_1CHW: Tensor, tiles: Sequence[tuple[Cut, Cut]], passes: int) -> Statistics:
    statistics: Statistics = {}
    for _ in range(passes):
        gathered = Gathered()
        for row, column in tiles:
            core, side_px = (row.core, column.core), (row.side, column.side)
            fine(one_1CHW[:, :, row.source, column.source], gathered.gathering(core, side_px, given(statistics)))
        statistics = gathered.statistics()
    return statistics


def cuts(side: int, geometry: Geometry, tiling: Tiling, device: torch.device) -> list[Cut]:
    """Divide an axis of so many positions."""
    spans = tile_spans(side * geometry.pixels_in, tiling)
    sources, targets = (
        [slice(start // pixels, stop // pixels) for start, stop in spans]
        for pixels in (geometry.pixels_in, geometry.pixels_out)
    )
    margin = math.ceil(MARGIN / geometry.pixels_out)
    weights = [weight.to(device) for weight in linear_weights(targets, margin)]
    sides = [stop - start for start, stop in spans]
    return [Cut(*cut) for cut in zip(sides, _cores(spans), sources, targets, weights, strict=True)]


def tile_spans(side_px: int, tiling: Tiling) -> list[tuple[int, int]]:
    """Divide a side into the fewest equal tiles that overlap enough, spread evenly.

    Args:
        side_px: a multiple of 16.
        tiling: tile and overlap.

    Returns:
        First pixel of every tile and the one after its last, multiples of 16.
    """
    if side_px <= tiling.tile:
        return [(0, side_px)]
    steps = math.ceil((side_px - tiling.tile) / (tiling.tile - tiling.overlap))
    starts = [step * (side_px - tiling.tile) // steps // ALIGNMENT * ALIGNMENT for step in range(steps)]
    return [(start, start + tiling.tile) for start in (*starts, side_px - tiling.tile)]


def _cores(spans: Sequence[tuple[int, int]]) -> list[slice]:
    """Divide what neighbours share in its middle; positions count from each tile's first."""
    seams = [spans[0][0], *((left[1] + right[0]) // 2 for left, right in pairwise(spans)), spans[-1][1]]
    return [slice(a - start, b - start) for (a, b), (start, _) in zip(pairwise(seams), spans, strict=True)]


def linear_weights(spans: Sequence[slice], margin: int) -> list[Tensor]:
    """Weights that rise and fall linearly over what neighbours share, are zero in a margin, and sum to one everywhere."""
    windows = [torch.ones(span.stop - span.start) for span in spans]
    for (left, left_window), (right, right_window) in pairwise(zip(spans, windows, strict=True)):
        shared = left.stop - right.start
        rise = ((torch.arange(shared) + 0.5 - margin) / (shared - 2 * margin)).clamp(0, 1)
        right_window[:shared] *= rise
        left_window[-shared:] *= rise.flip(0)
    total = torch.zeros(spans[-1].stop)
    for span, window in zip(spans, windows, strict=True):
        total[span] += window
    return [window / total[span] for span, window in zip(spans, windows, strict=True)]
