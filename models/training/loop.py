"""The training loop: clip, step, anneal, average, and resume exactly.

All randomness of a step comes from a generator seeded by (seed, step), so that a step's data, noise and times depend on nothing
before it; a checkpoint therefore holds weights, averages, optimiser state and two counters.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from models.checkpoints.files import TensorFiles, write_tensors
from models.training.ema import Ema
from models.training.schedule import Budget, learning_rate_factor

LossOf = Callable[[np.random.Generator, torch.Generator], Tensor]


class Loop:
    """One network in training with its optimisers, averages and counters."""

    def __init__(
        self,
        network: nn.Module,
        optimisers: Sequence[torch.optim.Optimizer],
        budget: Budget,
        *,
        seed: int,
        ema_decay: float,
        warmup_steps: int,
        hold: float,
        max_norm: float = 1.0,
    ) -> None:
        self.network = network
        self.optimisers = list(optimisers)
        self.budget = budget
        self.ema = Ema(network, ema_decay)
        self.step = 0
        self.elapsed_s = 0.0
        self._seed = seed
        self._warmup_steps = warmup_steps
        self._hold = hold
        self._max_norm = max_norm
        self._peaks = [[float(group["lr"]) for group in o.param_groups] for o in self.optimisers]

    @property
    def progress(self) -> float:
        """How much of the budget is spent, from 0 to 1."""
        return self.budget.progress(self.step, self.elapsed_s)

    def advance(self, loss_of: LossOf, clock: Callable[[], float]) -> float:
        """Make one step and return its loss; clock returns seconds."""
        started_s = clock()
        self._set_rates()
        loss = loss_of(np.random.default_rng((self._seed, self.step)), self._generator())
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # pyright: ignore[reportUnknownMemberType] (untyped in torch)
        nn.utils.clip_grad_norm_(self.network.parameters(), self._max_norm)
        for optimiser in self.optimisers:
            optimiser.step()
        self.ema.update(self.network, self.step)
        self.step += 1
        self.elapsed_s += clock() - started_s
        return float(loss.detach())

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * 1_000_003 + self.step)

    def _set_rates(self) -> None:
        factor = learning_rate_factor(self.step, self.progress, warmup_steps=self._warmup_steps, hold=self._hold)
        for optimiser, peaks in zip(self.optimisers, self._peaks, strict=True):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * factor

    def save(self, path: Path) -> None:
        """Write a checkpoint; the file appears whole or not at all."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.averages.items()}
        for i, optimiser in enumerate(self.optimisers):
            for index, entry in _optimiser_entries(optimiser).items():
                tensors |= {f"optimiser.{i}.{index}.{key}": value for key, value in entry.items()}
        tensors["step"] = torch.tensor(self.step)
        tensors["elapsed_s"] = torch.tensor(self.elapsed_s, dtype=torch.float64)
        write_tensors(path, tensors)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same network and optimisers."""
        file = TensorFiles.of_component(path.parent, path.stem)
        tensors = {name: file.read(name) for name in file.names()}
        self.step, self.elapsed_s = int(tensors["step"]), float(tensors["elapsed_s"])
        self.network.load_state_dict(_under("network.", tensors))
        for name, value in _under("ema.", tensors).items():
            self.ema.averages[name].copy_(value)
        for i, optimiser in enumerate(self.optimisers):
            _restore_optimiser(optimiser, _under(f"optimiser.{i}.", tensors))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimiser_entries(optimiser: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    return cast("dict[int, dict[str, Tensor]]", optimiser.state_dict()["state"])


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[str, Any] = optimiser.state_dict()
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        entries.setdefault(int(index), {})[name] = value
    state["state"] = entries
    optimiser.load_state_dict(state)
