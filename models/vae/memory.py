"""What happens when memory runs out: the same picture in tiles, then in ever smaller ones."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from models.vae.tiling import Tiling


def within_memory(
    size_px: tuple[int, int], tiling: Tiling, whole: Callable[[], Tensor], tiled: Callable[[Tiling], Tensor]
) -> Tensor:
    """Take small pictures whole, large ones in tiles, and go to finer tiles whenever the device is out of memory.

    Args:
        size_px: height and width.
        tiling: up to which size a picture is taken whole, and the first tiles to try.
        whole: computes the result at once.
        tiled: computes it in given tiles.

    Raises:
        torch.OutOfMemoryError: not even the smallest tiles fit.
    """
    *attempts, last = _attempts(size_px, tiling, whole, tiled)
    for attempt in attempts:
        result = _unless_out_of_memory(attempt)
        if result is not None:
            return result
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return last()


def _attempts(
    size_px: tuple[int, int], tiling: Tiling, whole: Callable[[], Tensor], tiled: Callable[[Tiling], Tensor]
) -> Iterator[Callable[[], Tensor]]:
    height, width = size_px
    if height * width <= tiling.threshold or max(size_px) <= tiling.tile:
        yield whole
    for finer in tiling.finer():
        if finer.tile < max(size_px):
            yield lambda finer=finer: tiled(finer)


def _unless_out_of_memory(attempt: Callable[[], Tensor]) -> Tensor | None:
    try:
        return attempt()
    except torch.OutOfMemoryError:
        return None  # once the handler is left, the traceback no longer holds the activations
