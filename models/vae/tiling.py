"""Encoders and decoders on pictures of any size in bounded memory: overlapping tiles, blended linearly.

A tile's group norms and middle attention see that tile alone, so tiles change a picture a little: BOUND
Measurements are in docs/decisions/0012.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor

ALIGNMENT = 16
Network = Callable[[Tensor], Tensor]
Span = tuple[int, int]
"""First position and the one after the last."""


@dataclass(frozen=True)
class Tiling:
    """When a picture is taken in tiles, and in which. Lengths are pixels and multiples of 16.

    Attributes:
        threshold: pixels up to which a picture is taken whole, as long as memory suffices.
        tile: side of a tile; a picture no longer on either side is taken whole too.
        overlap: what neighbours share at least; at most half a tile.
        min_tile: side under which tiles are not halved any further when memory runs out.
    """

    threshold: int = 2**21
    tile: int = 1152
    overlap: int = 256
    min_tile: int = 256

    def __post_init__(self) -> None:
        if self.tile % ALIGNMENT or self.overlap % ALIGNMENT or not 0 < self.overlap <= self.tile // 2:
            raise ValueError(
                f"tile {self.tile} and overlap {self.overlap} must be multiples of 16, the latter half at most"
            )

    def finer(self) -> Iterator["Tiling"]:
        """Yield these tiles, then tiles of half the side, which need a quarter of the memory, and so on."""
        tiling = self
        yield tiling
        while tiling.tile // 2 >= self.min_tile:
            tile, overlap = (side // 2 // ALIGNMENT * ALIGNMENT for side in (tiling.tile, tiling.overlap))
            tiling = Tiling(self.threshold, tile, max(overlap, ALIGNMENT), self.min_tile)
            yield tiling


@dataclass(frozen=True)
class Geometry:
    """What a network does to the shape of its input.

    Attributes:
        pixels_in: side in pixels of a position of the input: 1 for an encoder, 8 for a decoder at full size.
        pixels_out: side in pixels of a position of the output.
        channels_out: channels of the output.
    """

    pixels_in: int
    pixels_out: int
    channels_out: int


def run_bounded(network: Network, x_BCHW: Tensor, geometry: Geometry, tiling: Tiling) -> Tensor:
    """Apply an encoder or decoder to small pictures whole, to large ones in tiles, in ever smaller ones if memory runs out.

    Args:
        network: acts on each picture by itself.
        x_BCHW: pictures, or what a decoder takes; both sides in pixels are multiples of 16.
        geometry: of the network.
        tiling: from which size in tiles, and in which.

    Returns:
        The network's output, in the dtype of x_BCHW.

    Raises:
        torch.OutOfMemoryError: not even the smallest tiles fit.
    """
    *attempts, last = _attempts(network, x_BCHW, geometry, tiling)
    for attempt in attempts:
        result_BCHW = _unless_out_of_memory(attempt)
        if result_BCHW is not None:
            return result_BCHW
        if x_BCHW.is_cuda:
            torch.cuda.empty_cache()
    return last()


def _attempts(network: Network, x_BCHW: Tensor, geometry: Geometry, tiling: Tiling) -> Iterator[Callable[[], Tensor]]:
    height, width = (side * geometry.pixels_in for side in x_BCHW.shape[2:])
    if height * width <= tiling.threshold or max(height, width) <= tiling.tile:
        yield lambda: network(x_BCHW)
    for finer in tiling.finer():
        if finer.tile < max(height, width):
            yield lambda finer=finer: in_tiles(network, x_BCHW, geometry, finer)


def _unless_out_of_memory(attempt: Callable[[], Tensor]) -> Tensor | None:
    try:
        return attempt()
    except torch.OutOfMemoryError:
        return None  # once the handler is left, the traceback no longer holds the activations


def in_tiles(network: Network, x_BCHW: Tensor, geometry: Geometry, tiling: Tiling) -> Tensor:
    """Apply a network tile by tile, one picture at a time, and blend where tiles overlap.

    All tiles of a picture have the same size. Weights fall linearly towards a tile's edge, where zero padding stands for
    what the tile does not see. Sums are float32.
    """
    rows, columns = (_cuts(side, geometry, tiling, x_BCHW.device) for side in x_BCHW.shape[2:])
    shape = (len(x_BCHW), geometry.channels_out, rows[-1].target.stop, columns[-1].target.stop)
    sum_BCHW = torch.zeros(shape, dtype=torch.float32, device=x_BCHW.device)
    for picture, row, column in product(range(len(x_BCHW)), rows, columns):
        tile_1CHW = network(x_BCHW[picture : picture + 1, :, row.source, column.source])
        weight_HW = row.weights[:, None] * column.weights
        sum_BCHW[picture, :, row.target, column.target] += tile_1CHW[0].float() * weight_HW
    return sum_BCHW.to(x_BCHW.dtype)


@dataclass(frozen=True)
class _Cut:
    """One tile's extent along one axis, in the input and in the output, and its output's weights; weights sum to one."""

    source: slice
    target: slice
    weights: Tensor


def _cuts(side: int, geometry: Geometry, tiling: Tiling, device: torch.device) -> list[_Cut]:
    spans = tile_spans(side * geometry.pixels_in, tiling)
    sources, targets = (
        [slice(start // pixels, stop // pixels) for start, stop in spans]
        for pixels in (geometry.pixels_in, geometry.pixels_out)
    )
    weights = (weight.to(device) for weight in _linear_weights(targets))
    return [_Cut(*cut) for cut in zip(sources, targets, weights, strict=True)]


def tile_spans(side: int, tiling: Tiling) -> list[Span]:
    """Divide a side into the fewest equal tiles that overlap enough, spread evenly.

    Args:
        side: in pixels, a multiple of 16.
        tiling: tile and overlap.

    Returns:
        First pixel of every tile and the one after its last, multiples of 16.
    """
    if side <= tiling.tile:
        return [(0, side)]
    steps = math.ceil((side - tiling.tile) / (tiling.tile - tiling.overlap))
    starts = [step * (side - tiling.tile) // steps // ALIGNMENT * ALIGNMENT for step in range(steps)]
    return [(start, start + tiling.tile) for start in (*starts, side - tiling.tile)]


def _linear_weights(spans: Sequence[slice]) -> list[Tensor]:
    """Weights that rise and fall linearly over what neighbours share, and sum to one at every position."""
    windows = [torch.ones(span.stop - span.start) for span in spans]
    for (left, left_window), (right, right_window) in pairwise(zip(spans, windows, strict=True)):
        shared = left.stop - right.start
        rise = (torch.arange(shared) + 0.5) / shared
        right_window[:shared] *= rise
        left_window[-shared:] *= rise.flip(0)
    total = torch.zeros(spans[-1].stop)
    for span, window in zip(spans, windows, strict=True):
        total[span] += window
    return [window / total[span] for span, window in zip(spans, windows, strict=True)]
