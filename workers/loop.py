"""The engine's thread: takes commands between steps, steps the engine, and posts what happens. It waits on nothing but its
inbox, and on that only while the engine is idle."""

from collections.abc import Callable
from queue import Empty, SimpleQueue

from app.core.clock import Clock
from models.errors import SamplingError
from workers.engine.engine import Engine, UnknownNetwork
from workers.engine.events import EngineEvent, Failed
from workers.engine.row import Request
from workers.engine.scheduler import Opening
from workers.messages import (
    Admit,
    Command,
    Ended,
    Loaded,
    Opened,
    Released,
    ReleaseUnstarted,
    Remove,
    Removed,
    Reply,
    Stop,
)

BuildEngine = Callable[[Callable[[EngineEvent], None]], tuple[Engine, Loaded]]
"""Loads the weights and makes the engine around them; runs in the engine's thread, which owns the device."""


class EngineLoop:
    """Runs one engine in the calling thread until it is told to stop."""

    def __init__(self, build: BuildEngine, post: Callable[[Reply], None], clock: Clock) -> None:
        self._build = build
        self._post = post
        self._clock = clock
        self._inbox: SimpleQueue[Command] = SimpleQueue()
        self._is_stopping = False
        self._opening: Opening | None = None
        self.beats = 0
        """Rises with every round. Another thread reads it to see that steps still end."""
        self.is_busy = True
        """False while the loop waits for work; loading counts as work."""

    def send(self, command: Command) -> None:
        """Called from any thread; looked at between steps."""
        self._inbox.put(command)

    def run(self) -> None:
        """Load, then serve until Stop. Ended is posted however it ends."""
        try:
            engine, loaded = self._build(self._post)
            self._post(loaded)
            while not self._is_stopping:
                self._round(engine)
        finally:
            self._post(Ended())

    def _round(self, engine: Engine) -> None:
        """Obey what has arrived, then run one step."""
        self._obey_all(engine)
        released = engine.release_surplus(self._clock.monotonic_s())
        if released:
            self._post(Released(tuple(released)))
        self._show_opening(engine.opening(self._clock.monotonic_s()))
        if not self._is_stopping:
            engine.step(self._clock.monotonic_s())
        self.beats += 1

    def _obey_all(self, engine: Engine) -> None:
        """Every command in the inbox; waits for one while there is nothing to run."""
        if engine.is_idle:
            self.is_busy = False
            self._obey(engine, self._inbox.get())
            self.is_busy = True
        while not self._is_stopping:
            try:
                self._obey(engine, self._inbox.get_nowait())
            except Empty:
                return

    def _obey(self, engine: Engine, command: Command) -> None:
        match command:
            case Admit(request):
                self._admit(engine, request)
            case Remove(key):
                engine.remove(key)
                self._post(Removed(key))
            case ReleaseUnstarted():
                self._post(Released(tuple(engine.release_unstarted())))
            case Stop():
                self._is_stopping = True

    def _admit(self, engine: Engine, request: Request) -> None:
        try:
            engine.admit(request)
        except (UnknownNetwork, SamplingError) as error:
            self._post(Failed(request.key, error))

    def _show_opening(self, opening: Opening | None) -> None:
        if opening != self._opening:
            self._opening = opening
            self._post(Opened(opening))
