"""Euler's step: exact on constant fields, each row at its own time."""

import torch
from torch import Tensor

from models.samplers import euler
from models.samplers.loop import sample


def noise(rows: int) -> Tensor:
    return torch.randn(rows, 6, 4, generator=torch.Generator().manual_seed(0))


def swirl(x_BLC: Tensor, t_B: Tensor) -> Tensor:
    return torch.sin(3 * x_BLC) + t_B[:, None, None]


def test_constant_field_is_integrated_exactly() -> None:
    x = noise(2)
    out = sample(lambda x, t: torch.ones_like(x), x, torch.tensor([1.0, 0.7, 0.2, 0.0]))
    torch.testing.assert_close(out, x - 1)


def test_a_straight_path_ends_at_its_picture_in_one_step() -> None:
    x, picture = noise(1), torch.full((1, 6, 4), 0.25)
    out = sample(lambda x_t, t: x - picture, x, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(out, picture)


def test_rows_at_different_steps_share_a_call() -> None:
    x, t, t_next = noise(2), torch.tensor([1.0, 0.3]), torch.tensor([0.8, 0.1])
    mixed = euler.step(x, swirl(x, t), t, t_next)
    for row in (slice(0, 1), slice(1, 2)):
        alone = euler.step(x[row], swirl(x[row], t[row]), t[row], t_next[row])
        assert torch.equal(mixed[row], alone)


def test_latents_keep_their_dtype() -> None:
    x, t = noise(1), torch.tensor([1.0])
    assert euler.step(x.bfloat16(), x.bfloat16(), t, t - 0.3).dtype is torch.bfloat16
    assert euler.step(x, x.bfloat16(), t, t - 0.3).dtype is torch.float32
