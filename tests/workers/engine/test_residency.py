"""Weights come when they are needed, the least recently used go for them, and none goes while a row of its network runs."""

from collections.abc import Sequence

import pytest
from torch import Tensor

from tests.workers.engine.fake_network import FakeNetwork, request
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.events import EngineEvent, Failed, Finished, Stepped
from workers.engine.residency import Residency
from workers.engine.row import Denoising
from workers.engine.scheduler import Scheduler


class Weighty(FakeNetwork):
    """A fake network of some bytes, which runs only while they are there, and takes a second for each to come."""

    def __init__(self, name: str, num_bytes: int, diary: list[str]) -> None:
        super().__init__(name)
        self.num_bytes = num_bytes
        self.diary = diary
        self.is_loaded = False
        self.loading_fails = False

    def load(self) -> None:
        if self.loading_fails:
            raise OSError("the disk is gone")
        assert not self.is_loaded
        self.is_loaded = True
        self.diary.append(f"+{self.name}")

    def unload(self) -> None:
        assert self.is_loaded
        self.is_loaded = False
        self.diary.append(f"-{self.name}")

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        assert self.is_loaded
        return super().advance(rows)


class Bench:
    """An engine on networks a, b and c of 2, 3 and 4 bytes."""

    def __init__(self, budget_bytes: int | None) -> None:
        self.diary: list[str] = []
        self.networks = {name: Weighty(name, size, self.diary) for name, size in (("a", 2), ("b", 3), ("c", 4))}
        self.residency = Residency(self.networks.values(), budget_bytes, timer=lambda: 1.0 * len(self.diary))
        self.events: list[EngineEvent] = []
        self.engine = Engine(
            self.networks,
            Scheduler(max_rows=1),
            self.events.append,
            prompts=PromptCache(1 << 20),
            residency=self.residency,
        )

    def run(self, *rows: str, num_steps: int = 4) -> None:
        """Rows named after their network and a number."""
        for name in rows:
            self.engine.admit(request(name, network=name[0], num_steps=num_steps))
        while not self.engine.is_idle:
            self.engine.step(0.0)

    def names(self, kind: type[EngineEvent]) -> list[str]:
        return [event.key[0] for event in self.events if isinstance(event, kind)]


def test_without_a_budget_everything_comes_once_and_stays() -> None:
    bench = Bench(None)
    bench.run("a1", "b1", "c1", "a2", "b2", "c2")
    assert sorted(bench.diary) == ["+a", "+b", "+c"]
    assert len(bench.names(Finished)) == 6


def test_the_least_recently_used_goes_for_the_one_that_is_needed() -> None:
    bench = Bench(7)
    for name in ("a1", "b1", "a2"):
        bench.run(name)
    assert bench.residency.loaded == ("b", "a")
    bench.run("c1")
    assert bench.diary == ["+a", "+b", "-b", "+c"]
    assert bench.residency.loaded == ("a", "c")


def test_a_larger_budget_keeps_what_a_smaller_one_puts_out() -> None:
    work = ["a1", "b1", "a2", "c1", "a3", "b2"]
    loads: list[int] = []
    for budget_bytes in (4, 7, 9):
        bench = Bench(budget_bytes)
        for name in work:
            bench.run(name)
        loads.append(sum(entry.startswith("+") for entry in bench.diary))
        assert bench.names(Finished) == work
    assert loads == [6, 4, 3]


def test_no_weights_go_while_a_row_of_theirs_has_begun_and_the_row_that_waits_for_them_goes_next() -> None:
    """c does not fit beside a. Its row is of a better class, so a's second row, which has not begun, waits for it."""
    bench = Bench(5)
    bench.engine.admit(request("a1", network="a", num_steps=6, priority=1))
    bench.engine.step(0.0)
    bench.engine.admit(request("a2", network="a", num_steps=6, priority=1))
    bench.run("c1", num_steps=1)
    assert bench.names(Finished) == ["a1", "c1", "a2"]
    assert bench.diary == ["+a", "-a", "+c", "-c", "+a"]


def test_rows_of_networks_that_fit_together_are_interleaved() -> None:
    bench = Bench(5)
    bench.engine.admit(request("a1", network="a", num_steps=6, priority=1))
    bench.engine.step(0.0)
    bench.run("b1", num_steps=1)
    assert bench.names(Stepped)[:2] == ["a1", "b1"]
    assert bench.diary == ["+a", "+b"]


def test_rows_whose_weights_are_there_go_before_a_row_that_would_have_them_loaded() -> None:
    bench = Bench(4)
    bench.run("a1")
    bench.run("c1", "a2", num_steps=2)
    assert bench.names(Finished) == ["a1", "a2", "c1"]


def test_a_network_that_cannot_be_loaded_fails_its_rows_alone() -> None:
    bench = Bench(4)
    bench.networks["c"].loading_fails = True
    bench.run("a1", "c1", "a2")
    assert bench.names(Failed) == ["c1"]
    assert sorted(bench.names(Finished)) == ["a1", "a2"]


@pytest.mark.parametrize(("running", "fits"), [((), True), (("a",), True), (("b",), False), (("a", "b"), False)])
def test_what_runs_is_in_the_way_of_what_it_leaves_no_room_for(running: tuple[str, ...], fits: bool) -> None:
    bench = Bench(6)
    for name in ("a", "b"):
        bench.residency.make_ready((name,))
    assert bench.residency.can_be_ready(("c",), running) is fits
