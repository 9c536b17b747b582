"""Samples of an encoder's Gaussian, bit for bit as Diffusers draws them."""

import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from models.vae.gaussian import drawn


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_sample_equals_diffusers_and_extreme_variances_are_clamped(dtype: torch.dtype) -> None:
    moments = torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    moments[0, 4:] = 1000.0
    moments[1, 4:, 0] = -1000.0
    expected = DiagonalGaussianDistribution(moments).sample(torch.Generator().manual_seed(3))
    found = drawn(moments, torch.Generator().manual_seed(3))
    assert found.dtype is dtype
    assert torch.equal(found, expected)
    assert torch.equal(drawn(moments), moments[:, :4])
    assert torch.allclose(found[1, :, 0], moments[1, :4, 0], atol=1e-5)
