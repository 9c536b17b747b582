"""The engine on a fake network: order, independence of rows, failures that stay alone, cancellation between steps."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from models.errors import NonFiniteImage
from tests.workers.engine.fake_network import FakeNetwork, request
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine, UnknownNetwork
from workers.engine.events import Began, EngineEvent, Expired, Failed, Finished, Previewed, PreviewFailed, Stepped
from workers.engine.row import Denoising, Request
from workers.engine.scheduler import Scheduler


class Bench:
    """An engine on one fake network, everything it said, and a clock that ticks a second a step."""

    def __init__(self, *, max_rows: int = 1, window: int = 8) -> None:
        self.network = FakeNetwork()
        self.events: list[EngineEvent] = []
        self.now_s = 0.0
        self.engine = Engine(
            {"fake": self.network},
            Scheduler(window=window, max_rows=max_rows),
            self.events.append,
            prompts=PromptCache(1 << 20),
            timer=lambda: self.now_s,
        )
        self.network.on_step = self._tick

    def admit(self, *requests: Request) -> None:
        for asked in requests:
            self.engine.admit(asked)

    def run(self) -> None:
        while not self.engine.is_idle:
            self.engine.step(self.now_s)

    def image(self, name: str) -> np.ndarray:
        return next(e.image_HWC for e in self.events if isinstance(e, Finished) and e.key[0] == name)

    def names(self, kind: type[EngineEvent]) -> list[str]:
        return [event.key[0] for event in self.events if isinstance(event, kind)]

    def _tick(self) -> None:
        self.now_s += 1.0


def alone(asked: Request) -> np.ndarray:
    bench = Bench()
    bench.admit(asked)
    bench.run()
    return bench.image(asked.key[0])


def test_a_row_begins_steps_and_finishes_in_the_size_that_was_asked() -> None:
    bench = Bench()
    bench.admit(request("a", width=96, height=64))
    bench.run()
    assert bench.events[:-1] == [Began(("a", 1)), *(Stepped(("a", 1), step, 4) for step in (1, 2, 3, 4))]
    assert bench.image("a").shape == (64, 96, 3)


def test_a_step_of_an_idle_engine_does_nothing() -> None:
    bench = Bench()
    bench.engine.step(0.0)
    assert bench.events == []


def test_the_same_request_gives_the_same_pixels_and_another_seed_or_prompt_others() -> None:
    first = alone(request())
    assert np.array_equal(first, alone(request()))
    assert not np.array_equal(first, alone(request(seed=8)))
    assert not np.array_equal(first, alone(request(prompt="a blue boat")))
    assert not np.array_equal(alone(request(guidance=3.0)), alone(request(guidance=3.0, negative_prompt="dull")))


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    bench = Bench(max_rows=3)
    company = [request("a"), request("b", "a blue boat", seed=9, num_steps=6), request("c", "a cat", width=96)]
    bench.admit(*company)
    bench.run()
    assert max(bench.network.num_rows_by_call) > 1
    for asked in company:
        assert np.array_equal(bench.image(asked.key[0]), alone(asked))


def test_a_deterministic_row_runs_alone() -> None:
    bench = Bench(max_rows=3)
    bench.admit(request("a", is_deterministic=True), request("b", is_deterministic=True))
    bench.run()
    assert set(bench.network.num_rows_by_call) == {1}


def test_a_short_row_overtakes_a_long_one_at_a_step_boundary() -> None:
    bench = Bench()
    bench.admit(request("long", num_steps=20))
    for _ in range(3):
        bench.engine.step(bench.now_s)
    bench.admit(request("short", num_steps=2))
    bench.run()
    assert bench.names(Finished) == ["short", "long"]
    assert bench.names(Stepped)[:6] == ["long"] * 3 + ["short"] * 2 + ["long"]


def test_equal_rows_run_one_after_another_not_in_turns() -> None:
    bench = Bench()
    bench.admit(request("first"), request("second", arrived_at_s=0.5))
    bench.run()
    assert bench.names(Stepped) == ["first"] * 4 + ["second"] * 4


@pytest.mark.parametrize(
    ("mark", "error"),
    [("fails-encoding", RuntimeError), ("fails-step", torch.OutOfMemoryError), ("fails-decoding", NonFiniteImage)],
)
def test_a_row_that_fails_does_not_take_its_neighbours_along(mark: str, error: type[Exception]) -> None:
    bench = Bench(max_rows=3)
    bench.admit(request("a"), request("bad", f"{mark} here"), request("c", "a cat"))
    bench.run()
    (failed,) = [event for event in bench.events if isinstance(event, Failed)]
    assert failed.key == ("bad", 1)
    assert isinstance(failed.error, error)
    assert sorted(bench.names(Finished)) == ["a", "c"]
    assert np.array_equal(bench.image("a"), alone(request("a")))


def test_rows_that_fail_only_together_are_run_alone() -> None:
    bench = Bench(max_rows=2)
    bench.admit(request("a"), request("b", "hates-company sorely"))
    bench.run()
    assert sorted(bench.names(Finished)) == ["a", "b"]


def test_a_removed_row_stops_at_the_next_step() -> None:
    bench = Bench()
    bench.admit(request("a"), request("b", num_steps=9))
    bench.engine.step(0.0)
    assert bench.engine.remove(("a", 1))
    assert not bench.engine.remove(("a", 1))
    bench.run()
    assert bench.names(Finished) == ["b"]
    assert bench.names(Stepped).count("a") == 1


def test_a_row_past_its_deadline_leaves_between_steps() -> None:
    bench = Bench()
    bench.admit(request("a", num_steps=10, deadline_at_s=3.0, expected_s=30.0))
    bench.run()
    assert bench.names(Stepped) == ["a"] * 3
    assert bench.events[-1] == Expired(("a", 1))


def test_only_unstarted_rows_are_released() -> None:
    bench = Bench()
    bench.admit(request("begun"), request("waiting", num_steps=9))
    bench.engine.step(0.0)
    assert bench.engine.release_unstarted() == [("waiting", 1)]
    bench.run()
    assert bench.names(Finished) == ["begun"]


def test_a_full_window_lets_the_least_urgent_unstarted_row_go_for_a_shorter_one() -> None:
    bench = Bench(window=2)
    bench.admit(request("begun", num_steps=4))
    bench.engine.step(0.0)
    bench.admit(request("long", num_steps=30, expected_s=30.0))
    opening = bench.engine.opening(bench.now_s)
    assert opening is not None
    assert 25 < opening.shorter_than_s <= 30
    bench.admit(request("short", num_steps=2, expected_s=2.0))
    assert bench.engine.release_surplus(bench.now_s) == [("long", 1)]


def test_a_prompt_is_encoded_once_for_all_its_rows() -> None:
    bench = Bench()
    bench.admit(request("a", guidance=3.0), request("b", guidance=3.0, seed=8))
    bench.run()
    assert sorted(bench.network.encoded) == ["", "a red apple"]


def test_an_unknown_network_is_refused_by_name() -> None:
    with pytest.raises(UnknownNetwork, match="'other' is not loaded here; loaded: fake"):
        Bench().admit(request(network="other"))


def test_a_set_that_does_not_fit_is_halved_until_it_does_and_not_put_together_again() -> None:
    bench = Bench(max_rows=4)
    sizes: list[int] = []
    advance = bench.network.advance

    def small_device(rows: Sequence[Denoising]) -> list[Tensor]:
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return advance(rows)

    bench.network.advance = small_device
    bench.admit(*(request(name, num_steps=12) for name in "abcd"))
    bench.run()
    assert sorted(bench.names(Finished)) == list("abcd")
    assert sizes.count(3) == 1
    assert max(sizes) == 3


def test_a_row_that_is_watched_shows_itself_now_and_then_but_not_at_its_end() -> None:
    bench = Bench()
    bench.network.on_step = lambda: setattr(bench, "now_s", bench.now_s + 0.3)
    bench.admit(request("watched", num_steps=6, previews=True), request("unwatched", seed=9, num_steps=6))
    bench.run()
    shown = [event for event in bench.events if isinstance(event, Previewed)]
    assert {event.key[0] for event in shown} == {"watched"}
    assert [(event.step, event.num_steps) for event in shown] == [(1, 6), (3, 6), (5, 6)]
    assert [int(event.image_HWC[0, 0, 0]) for event in shown] == [1, 3, 5]
    assert np.array_equal(bench.image("watched"), alone(request("watched", num_steps=6)))


def test_a_row_that_cannot_be_shown_says_so_once_and_goes_on() -> None:
    bench = Bench()
    bench.admit(request("a", "fails-preview here", num_steps=5, previews=True))
    bench.run()
    assert bench.names(PreviewFailed) == ["a"]
    assert bench.names(Finished) == ["a"]
