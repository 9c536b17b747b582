"""Rotary embedding: rotations are rotations, and their angles are what the formula says."""

import math

import torch

from models.layers.rope import rotated, rotation_angles, turns


def test_each_axis_has_its_own_geometric_frequencies() -> None:
    angles = rotation_angles(torch.tensor([[[2, 3]]]), axes_dim=(4, 2), theta=100.0)
    expected = torch.tensor([2.0, 2.0 * 100 ** (-2 / 4), 3.0], dtype=torch.float64)
    torch.testing.assert_close(angles[0, 0], expected)


def test_a_right_angle_turns_the_first_of_a_pair_into_the_second() -> None:
    quarter = turns(torch.full((1, 1, 1), math.pi / 2, dtype=torch.float64))
    turned = rotated(torch.tensor([[[1.0, 0.0]]]), quarter)
    torch.testing.assert_close(turned, torch.tensor([[[0.0, 1.0]]]), atol=1e-6, rtol=0)


def test_lengths_are_kept_and_so_is_the_dtype() -> None:
    turning = turns(rotation_angles(torch.arange(12).reshape(1, 3, 4), (4, 4, 4, 4), 2000.0))[:, :, None]
    x = torch.randn(1, 3, 2, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotated(x, turning).norm(dim=-1), x.norm(dim=-1))
    assert rotated(x.bfloat16(), turning).dtype is torch.bfloat16
