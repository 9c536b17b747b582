"""Sinusoidal features: cosines first, and the product 1000 t in the caller's dtype."""

import torch

from models.layers.timestep import sinusoidal_features


def test_time_zero_is_ones_then_zeros() -> None:
    features = sinusoidal_features(torch.zeros(1), num_features=8)
    assert features.tolist() == [[1.0] * 4 + [0.0] * 4]


def test_frequencies_fall_from_1_by_equal_ratios_to_the_ten_thousandth() -> None:
    features = sinusoidal_features(torch.tensor([0.001]), num_features=8)
    frequencies = torch.tensor([1.0, 0.1, 0.01, 0.001])
    torch.testing.assert_close(features[0, 4:], frequencies.sin())
    torch.testing.assert_close(features[0, :4], frequencies.cos())


def test_bfloat16_times_are_rounded_after_the_product_and_features_are_float32() -> None:
    t = torch.tensor([0.7672])
    features = sinusoidal_features(t.bfloat16())
    assert features.dtype is torch.float32
    rounded = (t.bfloat16() * 1000).float() / 1000
    torch.testing.assert_close(features, sinusoidal_features(rounded), atol=1e-4, rtol=0)
