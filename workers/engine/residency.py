"""Residency: whose weights are on the device, within a budget of bytes, least recently used out first.

What runs stays: the engine names the networks of rows that have begun, and none of them is ever put out.
"""

import gc
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import torch

PRIOR_BYTES_PER_S = 1e9
"""How fast weights are thought to be loaded until some were."""


class Loadable(Protocol):
    """A network whose weights can come and go."""

    @property
    def name(self) -> str: ...

    @property
    def num_bytes(self) -> int:
        """Of its weights on the device, known before they are there."""
        ...

    def load(self) -> None:
        """Bring the weights to the device."""
        ...

    def unload(self) -> None:
        """Let go of them."""
        ...


class Residency:
    """The networks that share one device. One that is not among the given is always there."""

    def __init__(
        self,
        networks: Iterable[Loadable] = (),
        budget_bytes: int | None = None,
        *,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        Args:
            networks: none of them loaded, each within the budget.
            budget_bytes: for the weights of all of them; None: whatever they take.
            timer: seconds.
        """
        self._networks = {network.name: network for network in networks}
        self._budget_bytes = budget_bytes
        self._timer = timer
        self._loaded: OrderedDict[str, Loadable] = OrderedDict()
        self._bytes_per_s = PRIOR_BYTES_PER_S

    @property
    def loaded(self) -> tuple[str, ...]:
        """Whose weights are on the device, the least recently used first."""
        return tuple(self._loaded)

    def can_be_ready(self, names: Collection[str], running: Collection[str]) -> bool:
        """Whether these networks are there, or fit together beside those that run."""
        if self._budget_bytes is None or all(name in self._loaded for name in names if name in self._networks):
            return True
        staying = {name for name in (*names, *running) if name in self._networks}
        return sum(self._networks[name].num_bytes for name in staying) <= self._budget_bytes

    def load_s(self, names: Collection[str]) -> float:
        """Seconds until these networks are there, by how fast the last one was loaded; 0 if they are."""
        away = [network for name, network in self._networks.items() if name in names and name not in self._loaded]
        return sum(network.num_bytes for network in away) / self._bytes_per_s

    def make_ready(self, names: Collection[str], running: Collection[str] = ()) -> None:
        """Load these networks unless they are there, and put others out for them as far as needed, none that runs.

        Raises whatever loading raises; those that were put out stay out.
        """
        for name in names:
            self._make_one_ready(name, {*names, *running})

    def _make_one_ready(self, name: str, running: Collection[str]) -> None:
        network = self._networks.get(name)
        if network is None:
            return
        if name not in self._loaded:
            self._make_room(network.num_bytes, running)
            started_s = self._timer()
            network.load()
            self._bytes_per_s = network.num_bytes / max(self._timer() - started_s, 1e-6)
            self._loaded[name] = network
        self._loaded.move_to_end(name)

    def _make_room(self, num_bytes: int, running: Collection[str]) -> None:
        leaving = [name for name in self._loaded if name not in running]
        while self._budget_bytes is not None and self._held_bytes + num_bytes > self._budget_bytes and leaving:
            self._loaded.pop(leaving.pop(0)).unload()
            free_memory()

    @property
    def _held_bytes(self) -> int:
        return sum(network.num_bytes for network in self._loaded.values())


def free_memory() -> None:
    """Give back what nobody refers to any more, and what the device's allocator keeps for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
