"""Training's objectives against what they are by definition."""

import math

import torch

from models.training.objectives import flow_matching_loss, interpolate, picture_loss, sample_times


def test_the_line_runs_from_picture_to_noise_and_its_slope_is_the_target() -> None:
    generator = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(2, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    t, step = torch.tensor([0.3, 0.8], dtype=torch.float64), 1e-3
    torch.testing.assert_close(interpolate(x0, noise, torch.zeros(2, dtype=torch.float64)), x0)
    torch.testing.assert_close(interpolate(x0, noise, torch.ones(2, dtype=torch.float64)), noise)
    slope = (interpolate(x0, noise, t + step) - interpolate(x0, noise, t)) / step
    assert float(flow_matching_loss(slope, x0, noise)) < 1e-20
    assert math.isclose(float(flow_matching_loss(slope + 2, x0, noise)), 4.0, rel_tol=1e-9)


def test_training_times_are_shifted_as_sampling_shifts_them() -> None:
    shift = 3.0
    plain = sample_times(20_000, 0.0, torch.Generator().manual_seed(1))
    moved = sample_times(20_000, math.log(shift), torch.Generator().manual_seed(1))
    torch.testing.assert_close(moved, shift * plain / (1 + (shift - 1) * plain))
    assert abs(float(plain.median()) - 0.5) < 0.01
    assert abs(float(moved.median()) - 0.75) < 0.01


def test_a_blurred_edge_costs_more_than_the_same_error_spread_evenly() -> None:
    edge = torch.cat([torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)], dim=3)
    shifted = edge + 0.125
    blurred = edge.clone()
    blurred[..., 3] = 0.5
    blurred[..., 4] = 0.5
    assert math.isclose(float((shifted - edge).abs().mean()), float((blurred - edge).abs().mean()))
    assert float(picture_loss(edge, edge)) == 0.0
    assert float(picture_loss(blurred, edge)) > float(picture_loss(shifted, edge))
