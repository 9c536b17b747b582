"""The engine's thread: commands are obeyed between steps, in their order, and it ends however it ends with a word."""

import threading
from collections.abc import Iterator

import pytest

from app.core.clock import ManualClock
from tests.workers.bench import WITHIN_S, Gate
from tests.workers.engine.fake_network import FakeNetwork, request
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.events import Failed, Finished
from workers.engine.scheduler import Opening, Scheduler
from workers.loop import EngineLoop
from workers.messages import Admit, Ended, Loaded, Opened, Released, ReleaseUnstarted, Remove, Removed, Reply, Stop


class Bench:
    """A loop in its thread, and all that it posted."""

    def __init__(self, window: int = 8) -> None:
        self.gate = Gate()
        self.posted: list[Reply] = []
        network = FakeNetwork()
        network.on_step = self.gate.wait
        self.loop = EngineLoop(
            lambda emit: (
                Engine({"fake": network}, Scheduler(window), emit, prompts=PromptCache(1 << 20)),
                Loaded({"fake": "r1"}),
            ),
            self.posted.append,
            ManualClock(),
        )
        self.thread = threading.Thread(target=self.loop.run, daemon=True)

    def finish(self) -> list[Reply]:
        """Let everything run that was sent."""
        self.gate.open()
        self.thread.start()
        self.thread.join(WITHIN_S)
        assert not self.thread.is_alive()
        return self.posted


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.gate.open()
    made.loop.send(Stop())


def test_rows_run_until_the_stop(bench: Bench) -> None:
    bench.gate.allow(4)
    bench.loop.send(Admit(request("a", num_steps=4)))
    bench.thread.start()
    while not any(isinstance(reply, Finished) for reply in list(bench.posted)):
        assert bench.thread.is_alive()
    bench.loop.send(Stop())
    bench.thread.join(WITHIN_S)
    assert bench.posted[0] == Loaded({"fake": "r1"})
    assert bench.posted[-1] == Ended()
    assert bench.loop.beats >= 4


def test_commands_are_obeyed_in_their_order_before_a_step(bench: Bench) -> None:
    for command in (Admit(request("a")), Admit(request("b")), Remove(("a", 1)), ReleaseUnstarted(), Stop()):
        bench.loop.send(command)
    posted = bench.finish()
    assert posted[1:] == [Removed(("a", 1)), Released((("b", 1),)), Ended()]


def test_a_full_window_is_announced_and_its_surplus_released() -> None:
    bench = Bench(window=2)
    for name, seconds in (("short", 1.0), ("long", 9.0), ("middle", 5.0)):
        bench.loop.send(Admit(request(name, expected_s=seconds, num_steps=1)))
    bench.gate.open()
    bench.thread.start()
    while sum(isinstance(reply, Finished) for reply in list(bench.posted)) < 2:
        assert bench.thread.is_alive()
    bench.loop.send(Stop())
    bench.thread.join(WITHIN_S)
    assert bench.posted[1] == Released((("long", 1),))
    assert bench.posted[2] == Opened(Opening(0, 5.0))
    assert [reply.key[0] for reply in bench.posted if isinstance(reply, Finished)] == ["short", "middle"]


def test_an_unknown_network_fails_the_row_and_not_the_thread(bench: Bench) -> None:
    bench.loop.send(Admit(request("a", network="other")))
    bench.loop.send(Stop())
    failed, ended = bench.finish()[1:]
    assert isinstance(failed, Failed)
    assert ended == Ended()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_it_says_that_it_ends_when_the_weights_cannot_be_loaded() -> None:
    posted: list[Reply] = []

    def build(emit: object) -> tuple[Engine, Loaded]:
        raise OSError("no such folder")

    loop = EngineLoop(build, posted.append, ManualClock())
    thread = threading.Thread(target=loop.run)
    thread.start()
    thread.join(WITHIN_S)
    assert posted == [Ended()]
