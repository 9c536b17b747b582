"""The training loop: averages, budgets, and a run that was interrupted against one that was not."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.training.ema import Ema
from models.training.loop import Loop, LossOf
from models.training.muon import orthogonalised
from models.training.optimisers import split_optimisers
from models.training.schedule import Budget, learning_rate_factor


def small_loop(num_steps: int = 6) -> tuple[nn.Sequential, Loop, LossOf]:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 2))
    optimisers = split_optimisers(network, matrix_rate=3e-2, other_rate=3e-2)
    loop = Loop(network, optimisers, Budget(num_steps=num_steps), seed=5, ema_decay=0.9, warmup_steps=2, hold=0.4)

    def loss_of(rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        x = torch.randn(16, 4, generator=generator) * float(rng.uniform(0.5, 2.0))
        return (network(x) - x[:, :2].sin()).square().mean()

    return network, loop, loss_of


def test_three_steps_and_three_more_after_a_restart_are_six_steps(tmp_path: Path) -> None:
    _, whole, loss_of = small_loop()
    ticks = count()
    for _ in range(6):
        whole.advance(loss_of, lambda: float(next(ticks)))

    _, first, loss_of = small_loop()
    for _ in range(3):
        first.advance(loss_of, lambda: float(next(ticks)))
    first.save(tmp_path / "state.safetensors")
    _, second, loss_of = small_loop()
    second.load(tmp_path / "state.safetensors")
    for _ in range(3):
        second.advance(loss_of, lambda: float(next(ticks)))

    assert (second.step, second.elapsed_s) == (whole.step, whole.elapsed_s) == (6, 6.0)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value), name
        assert torch.equal(second.ema.averages[name], whole.ema.averages[name]), name
    for mine, theirs in zip(second.optimisers, whole.optimisers, strict=True):
        states = mine.state_dict()["state"], theirs.state_dict()["state"]
        assert states[0].keys() == states[1].keys()
        assert states[0]
        for index, entry in states[1].items():
            assert all(torch.equal(states[0][index][key], value) for key, value in entry.items())


def test_training_learns() -> None:
    _, loop, loss_of = small_loop(num_steps=150)
    losses = [loop.advance(loss_of, lambda: 0.0) for _ in range(150)]
    assert sum(losses[-20:]) < 0.6 * sum(losses[:20])


def test_the_average_of_a_constant_is_the_constant_and_lags_behind_a_change() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 2.0)
    ema = Ema(network, 0.5)
    for step in range(100, 103):
        ema.update(network, step)
    assert float(ema.averages["weight"]) == 2.0
    nn.init.constant_(network.weight, 4.0)
    ema.update(network, 103)
    assert float(ema.averages["weight"]) == 3.0
    ema.copy_to(network)
    assert float(network.weight.detach()) == 3.0


@pytest.mark.parametrize(
    ("step", "elapsed_s", "spent"), [(0, 0.0, 0.0), (50, 10.0, 0.5), (10, 30.0, 0.75), (200, 0.0, 1.0)]
)
def test_a_budget_ends_with_whichever_comes_first(step: int, elapsed_s: float, spent: float) -> None:
    assert Budget(num_steps=100, seconds=40.0).progress(step, elapsed_s) == spent


def test_the_rate_rises_stays_and_falls() -> None:
    factors = [learning_rate_factor(step, step / 100, warmup_steps=10, hold=0.4) for step in range(101)]
    assert factors[0] == 0.1
    assert factors[9:41] == [1.0] * 32
    assert factors[70] == pytest.approx(0.5)
    assert factors[100] == 0.02


@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (16, 16)])
def test_an_orthogonalised_update_has_singular_values_of_about_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    aligned = left.T @ orthogonalised(matrix) @ right.T
    assert float((aligned - torch.diag(aligned.diagonal())).abs().max()) < 1e-3
