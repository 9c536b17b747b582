"""Noise: one seed, one picture, whatever else is drawn; the dtype is part of it."""

import torch

from models.noise import MAX_SEED, generator_of
from models.noise import initial_noise as drawn_noise


def initial_noise(channels: int, rows: int, columns: int, seed: int, dtype: torch.dtype) -> torch.Tensor:
    return drawn_noise(channels, rows, columns, generator_of(seed), dtype)


def test_a_seed_is_always_the_same_noise() -> None:
    first = initial_noise(16, 4, 6, 7, torch.float32)
    torch.randn(5)
    assert torch.equal(first, initial_noise(16, 4, 6, 7, torch.float32))
    assert not torch.equal(first, initial_noise(16, 4, 6, 8, torch.float32))


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    initial_noise(16, 4, 6, MAX_SEED, torch.float32)
    assert torch.equal(before, torch.get_rng_state())


def test_noise_is_drawn_in_the_dtype_that_was_asked_for() -> None:
    drawn = torch.randn(1, 16, 4, 6, generator=torch.Generator().manual_seed(7), dtype=torch.bfloat16)
    assert torch.equal(initial_noise(16, 4, 6, 7, torch.bfloat16), drawn)


def test_noise_is_standard_normal() -> None:
    noise = initial_noise(64, 32, 32, 0, torch.float32)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
