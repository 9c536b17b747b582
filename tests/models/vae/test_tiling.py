"""Tiles: how a side is divided, how outputs are blended, and what of the whole is lost."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from models.vae.blocks import Normalise
from models.vae.tiling import MARGIN, Geometry, Tiling, cuts, in_tiles, tile_spans

CPU = torch.device("cpu")
SIXTEENS = st.integers(1, 400).map(lambda n: 16 * n)
TILINGS = st.integers(8, 80).flatmap(
    lambda n: st.integers(4, n // 2).map(lambda m: Tiling(tile=16 * n, overlap=16 * m, min_tile=128))
)


@given(SIXTEENS, TILINGS)
def test_tiles_cover_a_side_evenly_and_overlap_enough(side: int, tiling: Tiling) -> None:
    spans = tile_spans(side, tiling)
    assert spans[0][0] == 0
    assert spans[-1][1] == side
    assert all(start % 16 == 0 and stop - start == min(side, tiling.tile) for start, stop in spans)
    assert all(left[1] - right[0] >= tiling.overlap for left, right in pairwise(spans))
    if len(spans) > 1:
        fewer = (len(spans) - 1) * (tiling.tile - tiling.overlap) + tiling.overlap
        assert fewer < side


@settings(deadline=None)
@given(SIXTEENS, TILINGS, st.sampled_from([(1, 4), (4, 1), (1, 1)]))
def test_weights_sum_to_one_and_cores_divide_the_side(side: int, tiling: Tiling, pixels: tuple[int, int]) -> None:
    geometry = Geometry(*pixels, channels_out=1)
    parts = cuts(side // geometry.pixels_in, geometry, tiling, CPU)
    total, owned = torch.zeros(side // geometry.pixels_out), torch.zeros(side)
    for part in parts:
        total[part.target] += part.weights
        start = part.source.start * geometry.pixels_in
        owned[start + part.core.start : start + part.core.stop] += 1
        assert part.weights.min() >= 0
        assert part.core.start % 8 == part.core.stop % 8 == 0
    torch.testing.assert_close(total, torch.ones_like(total))
    assert bool((owned == 1).all())
    margin = MARGIN // geometry.pixels_out
    assert all(not part.weights[:margin].any() for part in parts[1:])
    assert all(not part.weights[-margin:].any() for part in parts[:-1])


def test_the_standard_tiles_of_four_megapixels_are_four() -> None:
    assert tile_spans(2048, Tiling()) == [(0, 1056), (992, 2048)]


def repeated(x_BCHW: Tensor, normalise: Normalise) -> Tensor:
    return functional.interpolate(x_BCHW, scale_factor=4.0, mode="nearest")


def pooled(x_BCHW: Tensor, normalise: Normalise) -> Tensor:
    return functional.avg_pool2d(x_BCHW, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("height", "width"), [(128, 560), (336, 16), (400, 304)])
def test_what_acts_on_positions_by_themselves_is_exact(height: int, width: int, dtype: torch.dtype) -> None:
    tiling = Tiling(tile=160, min_tile=160)
    image = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0)).to(dtype)
    small = pooled(image, nn.GroupNorm.__call__)
    tolerance = 1e-6 if dtype is torch.float32 else 0.0
    found_small = in_tiles(pooled, image, Geometry(1, 4, 3), tiling)
    found_large = in_tiles(repeated, small, Geometry(4, 1, 3), tiling)
    assert found_small.dtype is found_large.dtype is dtype
    torch.testing.assert_close(found_small, small, atol=0, rtol=tolerance)
    torch.testing.assert_close(found_large, repeated(small, nn.GroupNorm.__call__), atol=0, rtol=tolerance)


@pytest.mark.parametrize(("tile", "overlap"), [(100, 64), (256, 50), (256, 48), (256, 144)])
def test_tiles_that_cannot_be_blended_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        Tiling(tile=tile, overlap=overlap)


def test_finer_tiles_halve_down_to_the_smallest() -> None:
    assert [tiling.tile for tiling in Tiling().finer()] == [1056, 528, 256]
    assert [tiling.tile for tiling in Tiling(tile=128, min_tile=64).finer()] == [128]
    assert [tiling.passes for tiling in Tiling(passes=5).finer()] == [5, 5, 5]
