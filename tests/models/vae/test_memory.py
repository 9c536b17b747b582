"""What is tried when, and what happens when the device is out of memory."""

import gc
import weakref

import pytest
import torch
from torch import Tensor

from models.vae.memory import within_memory
from models.vae.tiling import Tiling

TILING = Tiling(threshold=1024 * 1024, tile=512, min_tile=128)


class Device:
    """Memory for so many pixels at a time; remembers what was tried."""

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self.tried: list[int] = []
        self.activations: list[weakref.ref[Tensor]] = []

    def run(self, height: int, width: int) -> Tensor:
        return within_memory((height, width), TILING, lambda: self._take(height * width, 0), self._tiled)

    def _tiled(self, tiling: Tiling) -> Tensor:
        return self._take(tiling.tile**2, tiling.tile)

    def _take(self, pixels: int, tile: int) -> Tensor:
        gc.disable()  # what an exception still holds must be gone without the collector
        assert all(activation() is None for activation in self.activations)
        gc.enable()
        self.tried.append(tile)
        activation = torch.ones(1)
        self.activations.append(weakref.ref(activation))
        if pixels > self.pixels:
            raise torch.OutOfMemoryError(f"no room for {pixels} pixels")
        return torch.tensor(float(tile))


@pytest.mark.parametrize(
    ("pixels", "size", "tried"),
    [
        (10**9, (1024, 1024), [0]),
        (10**9, (1024, 1040), [512]),
        (10**6, (1024, 1024), [0, 512]),
        (10**5, (1024, 1024), [0, 512, 256]),
        (10**5, (4096, 4096), [512, 256]),
        (10**5, (512, 512), [0, 256]),
        (10**4, (128, 64), [0]),
    ],
)
def test_small_pictures_are_whole_large_ones_tiled_and_tiles_shrink(
    pixels: int, size: tuple[int, int], tried: list[int]
) -> None:
    device = Device(pixels)
    assert float(device.run(*size)) == tried[-1]
    assert device.tried == tried


@pytest.mark.parametrize(("size", "tried"), [((1024, 1024), [0, 512, 256, 128]), ((64, 128), [0])])
def test_too_little_memory_for_the_smallest_tiles_is_an_error(size: tuple[int, int], tried: list[int]) -> None:
    device = Device(100)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        device.run(*size)
    assert device.tried == tried
