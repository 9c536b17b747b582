"""Worker: the engine's thread, the I/O thread, and what crosses between them. The thread that made it stays free."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import structlog

from app.core.clock import Clock
from app.core.config import Settings, WorkerSettings
from app.core.db.engine import Database
from app.core.db.version import schema_is_current
from app.core.dispatch.sql import PollingDoorbell
from app.core.errors import ConfigurationError
from app.core.events.base import EventBus
from app.core.events.opening import worker_events
from app.core.ids import new_id
from app.core.registry import WorkerRecord
from app.core.storage.opening import open_store
from app.core.work.sql import SqlWorkPort
from app.moderation.opening import open_picture_moderator
from app.moderation.verdict import PictureModerator
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.events import EngineEvent
from workers.engine.scheduler import Scheduler
from workers.io import WorkerIO
from workers.links import Links, Rhythm
from workers.loop import EngineLoop
from workers.messages import EndWanted, Loaded, Reply, Stop
from workers.networks import LoadedNetworks
from workers.provenance.marks import Marks, open_marks

PROMPT_CACHE_BYTES = 256 << 20
ENGINE_JOIN_S = 5.0

log = structlog.stdlib.get_logger()


class Worker:
    """One device at work. start(), then join(); drain() from any thread or signal handler."""

    def __init__(self, settings: Settings, load: Callable[[], LoadedNetworks], clock: Clock) -> None:
        self.exit_code = 1
        """Of the process; meaningful once join() was true."""
        self._settings = settings
        self._load = load
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._replies: asyncio.Queue[Reply] = asyncio.Queue()
        self._doorbell = PollingDoorbell(settings.queue.poll_s)
        self._is_loaded = threading.Event()
        self._is_ending = threading.Event()
        self._engine = EngineLoop(self._build, self._post, clock)
        self._engine_thread = threading.Thread(target=self._engine.run, name="engine", daemon=True)
        self._io_thread = threading.Thread(target=self._run_io, name="io", daemon=True)

    def start(self) -> None:
        """Begin to load, then to serve."""
        self._io_thread.start()
        self._engine_thread.start()

    def drain(self) -> None:
        """Claim no more, finish what runs, end."""
        self._is_ending.set()
        self._post(EndWanted())

    def ring(self) -> None:
        """There may be work. From any thread."""
        with suppress(RuntimeError):  # its loop is closed, and it wants no more work
            self._loop.call_soon_threadsafe(self._doorbell.ring)

    def wait_until_loaded(self, timeout_s: float) -> bool:
        """Whether the weights are on the device, after at most so many seconds."""
        return self._is_loaded.wait(timeout_s)

    @property
    def is_ending(self) -> bool:
        """Whether it was told to drain, or ends by itself."""
        return self._is_ending.is_set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end. True when the I/O side is done; the engine may still be in its last step."""
        self._io_thread.join(timeout_s)
        return not self._io_thread.is_alive()

    def join_engine(self) -> bool:
        """Whether the engine's thread has ended too, waiting a little for its step; not in a worker that failed, for its may hang."""
        self._engine_thread.join(ENGINE_JOIN_S if self.exit_code == 0 else 0.0)
        return not self._engine_thread.is_alive()

    def _build(self, emit: Callable[[EngineEvent], None]) -> tuple[Engine, Loaded]:
        """In the engine's thread, which owns the device."""
        loaded = self._load()
        engine = Engine(
            loaded.networks,
            Scheduler(self._settings.queue.window, class_ageing_s=self._settings.queue.ageing_s),
            emit,
            prompts=PromptCache(PROMPT_CACHE_BYTES),
            residency=loaded.residency,
        )
        return engine, Loaded(loaded.revisions)

    def _post(self, reply: Reply) -> None:
        """From any thread, to the I/O side."""
        with suppress(RuntimeError):  # it has ended and its loop is closed; nobody is left to be told
            self._loop.call_soon_threadsafe(self._replies.put_nowait, reply)

    def _run_io(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                self.exit_code = runner.run(self._serve())
        finally:
            self._is_ending.set()
            self._engine.send(Stop())

    async def _serve(self) -> int:
        """Wait for the weights, then serve. Returns the exit code."""
        try:
            marks = open_marks(self._settings, self._clock.utc_now())
        except ConfigurationError as error:
            log.error("pictures cannot be marked as the settings ask for", error=str(error))
            return 1
        async with AsyncExitStack() as stack:
            database = Database.open(self._settings.database.url)
            stack.push_async_callback(database.close)
            events = worker_events(self._settings)
            await events.start()
            stack.push_async_callback(events.close)
            judge = open_picture_moderator(self._settings.moderation, stack)
            match await self._replies.get():
                case Loaded() as loaded:
                    self._is_loaded.set()
                    io = self._io(database, events, loaded, marks, judge)
                    return await io.run(loaded, self._replies)
                case EndWanted():
                    return 0
                case reply:
                    log.error("the engine could not be started", reply=str(reply))
                    return 1

    def _io(
        self, database: Database, events: EventBus, loaded: Loaded, marks: Marks, judge: PictureModerator | None
    ) -> WorkerIO:
        settings, worker = self._settings, self._record()
        links = Links(
            port=SqlWorkPort(database, settings.queue, self._clock, worker.id, worker.pool, loaded.revisions),
            store=open_store(settings),
            events=events,
            doorbell=self._doorbell,
            schema_is_current=lambda: schema_is_current(database),
            marks=marks,
            judge=judge,
        )
        queue, own = settings.queue, settings.worker
        rhythm = Rhythm(queue.window, queue.renew_s, own.drain_s, own.hung_after_s)
        return WorkerIO(links, self._engine, worker, rhythm, self._clock)

    def _record(self) -> WorkerRecord:
        return WorkerRecord(
            id=worker_id(self._settings.worker),
            pool=self._settings.worker.pool,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._clock.utc_now(),
        )


def worker_id(worker: WorkerSettings) -> str:
    """The operator's name for it, with its number where several share one; else a random one."""
    if worker.id is None:
        return new_id()
    return worker.id if worker.num_beside == 1 else f"{worker.id}-{worker.index}"
