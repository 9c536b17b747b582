"""Group norm statistics that come in parts."""

import pytest
import torch
from torch import nn

from models.vae.statistics import Gathered, given, moments_of

SIDES = (12, 20)
CORES = [(slice(0, 5), slice(0, 20)), (slice(5, 12), slice(0, 8)), (slice(5, 12), slice(8, 20))]


def norm_and_input() -> tuple[nn.GroupNorm, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    norm = nn.GroupNorm(3, 6, eps=1e-6)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(6, generator=generator) + 0.5)
        norm.bias.copy_(torch.randn(6, generator=generator))
    gradient = torch.linspace(-3, 3, SIDES[1])
    return norm, torch.randn(1, 6, *SIDES, generator=generator) * torch.arange(1, 7)[:, None, None] + gradient


def test_parts_merge_to_the_whole() -> None:
    norm, x = norm_and_input()
    parts = [moments_of(norm, x[:, :, rows, columns]) for rows, columns in CORES]
    merged = parts[0].merged(parts[1]).merged(parts[2])
    whole = moments_of(norm, x)
    assert merged.count == whole.count == x.numel() // 3
    torch.testing.assert_close(merged.mean_G, whole.mean_G)
    torch.testing.assert_close(merged.variance_G, whole.variance_G)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.01)])
@torch.no_grad()
def test_a_norm_with_its_own_statistics_given_is_itself(dtype: torch.dtype, tolerance: float) -> None:
    norm, x = norm_and_input()
    norm, x = norm.to(dtype), x.to(dtype)
    found = given({norm: moments_of(norm, x)})(norm, x)
    assert found.dtype is dtype
    torch.testing.assert_close(found, norm(x), atol=tolerance, rtol=0)
    assert torch.equal(given({})(norm, x), norm(x))


@torch.no_grad()
def test_tiles_with_gathered_statistics_are_tiles_of_the_whole() -> None:
    norm, x = norm_and_input()
    gathered = Gathered()
    for core in CORES:
        gathered.gathering(core, SIDES, given({}))(norm, x)
    normalise = given(gathered.statistics())
    torch.testing.assert_close(normalise(norm, x[:, :, :4, :7]), norm(x)[:, :, :4, :7], atol=1e-5, rtol=0)
    assert not torch.allclose(norm(x[:, :, :4, :7]), norm(x)[:, :, :4, :7], atol=0.1)


@torch.no_grad()
def test_cores_are_pixels_whatever_the_resolution() -> None:
    norm, x = norm_and_input()
    core = (slice(2, 8), slice(4, 16))
    fine, coarse = Gathered(), Gathered()
    fine.gathering(core, SIDES, given({}))(norm, x)
    coarse.gathering(core, SIDES, given({}))(norm, x[:, :, ::2, ::2])
    assert torch.equal(fine.statistics()[norm].mean_G, moments_of(norm, x[:, :, 2:8, 4:16]).mean_G)
    assert torch.equal(coarse.statistics()[norm].mean_G, moments_of(norm, x[:, :, 2:8:2, 4:16:2]).mean_G)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_do_not_overflow_in_half_precision(dtype: torch.dtype) -> None:
    x = (300 + 50 * torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))).to(dtype)
    norm = nn.GroupNorm(2, 4)
    expected = norm(x.float())
    tolerance = 0.1 if dtype is torch.bfloat16 else 0.01
    torch.testing.assert_close(norm.to(dtype)(x).float(), expected, atol=tolerance, rtol=0)
    assert moments_of(norm, x).variance_G.dtype is torch.float32
    torch.testing.assert_close(moments_of(norm, x).variance_G, torch.full((2,), 2500.0), atol=150, rtol=0)
