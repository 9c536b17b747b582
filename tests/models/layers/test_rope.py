"""Rotary embedding: rotations are rotations, and their angles are what the formula says."""

import math

import torch

from models.layers.rope import Rotation, rotation_angles


def test_each_axis_has_its_own_geometric_frequencies() -> None:
    angles = rotation_angles(torch.tensor([[[2, 3]]]), axes_dim=(4, 2), theta=100.0)
    expected = torch.tensor([2.0, 2.0 * 100 ** (-2 / 4), 3.0], dtype=torch.float64)
    torch.testing.assert_close(angles[0, 0], expected)


def test_a_right_angle_turns_the_first_of_a_pair_into_the_second() -> None:
    rotation = Rotation(torch.full((1, 1, 1), math.pi / 2, dtype=torch.float64))
    x = torch.tensor([[[[1.0, 0.0]]]])
    torch.testing.assert_close(rotation(x), torch.tensor([[[[0.0, 1.0]]]]), atol=1e-6, rtol=0)


def test_lengths_are_kept_and_so_is_the_dtype() -> None:
    rotation = Rotation(rotation_angles(torch.arange(12).reshape(1, 3, 4), (4, 4, 4, 4), 2000.0))
    x = torch.randn(1, 3, 2, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rotation(x).norm(dim=-1), x.norm(dim=-1))
    assert rotation(x.bfloat16()).dtype is torch.bfloat16
