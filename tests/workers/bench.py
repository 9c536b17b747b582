"""A worker's I/O side and engine thread on a real database, with a network whose steps the test lets through one by one."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from app.core.clock import ManualClock
from app.core.config import QueueSettings
from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from app.core.dispatch.sql import PollingDoorbell
from app.core.events.base import Event
from app.core.registry import WorkerRecord
from app.core.spec import GenerationSpec
from app.core.storage.memory import MemoryObjectStore
from app.core.work.sql import SqlWorkPort
from app.moderation.verdict import PictureModerator
from tests.fixtures.accounts import EPOCH, NETWORK, POOL
from tests.workers.engine.fake_network import FakeNetwork
from workers.engine.conditioning import PromptCache
from workers.engine.engine import Engine
from workers.engine.scheduler import Scheduler
from workers.io import WorkerIO
from workers.links import Links, Rhythm
from workers.loop import EngineLoop
from workers.messages import EndWanted, Loaded, Reply
from workers.provenance.marks import UNMARKED, Marks

WITHIN_S = 20.0


class Gate:
    """Lets steps through: all of them when open, else as many as were allowed."""

    def __init__(self) -> None:
        self._allowed = threading.Semaphore(0)
        self._is_open = threading.Event()
        self.num_passed = 0

    def allow(self, num_steps: int) -> None:
        for _ in range(num_steps):
            self._allowed.release()

    def open(self) -> None:
        self._is_open.set()
        self._allowed.release()

    def wait(self) -> None:
        if not self._is_open.is_set():
            assert self._allowed.acquire(timeout=WITHIN_S)
        self.num_passed += 1


class RecordingBus:
    """A bus whose other side is the test."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.incoming: asyncio.Queue[Event] = asyncio.Queue()

    async def start(self) -> None: ...

    def publish(self, event: Event) -> None:
        self.published.append(event)

    async def receive(self) -> Event:
        return await self.incoming.get()

    async def close(self) -> None: ...


class FlakyStore(MemoryObjectStore):
    """Refuses as many puts as it is told to."""

    num_refusals = 0
    num_puts = 0

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        self.num_puts += 1
        if self.num_refusals > 0:
            self.num_refusals -= 1
            raise OSError("no space left on device")
        await super().put(key, data, content_type)


class Bench:
    """One worker, its parts open to the test."""

    def __init__(
        self,
        database: Database,
        *,
        window: int = 8,
        max_rows: int = 1,
        renew_s: float = 0.02,
        drain_s: float = WITHIN_S,
        make_port: Callable[..., SqlWorkPort] = SqlWorkPort,
        marks: Marks = UNMARKED,
        judge: PictureModerator | None = None,
    ) -> None:
        self.database = database
        self.clock = ManualClock(EPOCH)
        self.network = FakeNetwork(NETWORK)
        self.gate = Gate()
        self.network.on_step = self.gate.wait
        self.store = FlakyStore()
        self.events = RecordingBus()
        self.replies: asyncio.Queue[Reply] = asyncio.Queue()
        self.port = make_port(database, QueueSettings(), self.clock, "w1", POOL, [NETWORK])
        loop = asyncio.get_running_loop()
        self.engine = EngineLoop(
            lambda emit: (
                Engine(
                    {NETWORK: self.network}, Scheduler(window, max_rows=max_rows), emit, prompts=PromptCache(1 << 20)
                ),
                Loaded({NETWORK: self.network.revision}),
            ),
            lambda reply: loop.call_soon_threadsafe(self.replies.put_nowait, reply) and None,
            self.clock,
        )
        links = Links(self.port, self.store, self.events, PollingDoorbell(0.01), _current, marks, judge)
        record = WorkerRecord("w1", POOL, "here", 1, EPOCH)
        rhythm = Rhythm(window, renew_s, drain_s, hung_after_s=600.0)
        self.io = WorkerIO(links, self.engine, record, rhythm, self.clock)

    def drain(self) -> None:
        self.replies.put_nowait(EndWanted())

    async def row(self, generation_id: str) -> Generation:
        async with self.database.read() as session:
            return await session.get_one(Generation, generation_id)

    async def change_spec(self, generation_id: str, *, expected_s: float = 1.0, **changes: object) -> None:
        """Another request in a queued row."""
        async with self.database.write() as session:
            row = await session.get_one(Generation, generation_id)
            row.spec = GenerationSpec.from_json(row.spec).model_copy(update=changes).to_json()
            row.expected_s = expected_s

    async def state(self, generation_id: str, wanted: str, *, steps_meanwhile: int = 0) -> Generation:
        """The row, as soon as it is in this state; so many steps are let through each time that it is not."""
        return await self.row_when(generation_id, lambda row: row.state == wanted, steps_meanwhile)

    async def row_when(
        self, generation_id: str, is_so: Callable[[Generation], bool], steps_meanwhile: int = 0
    ) -> Generation:
        async with asyncio.timeout(WITHIN_S):
            while not is_so(row := await self.row(generation_id)):
                self.gate.allow(steps_meanwhile)
                await asyncio.sleep(0.005)
        return row

    @staticmethod
    async def until(is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not is_so():  # noqa: ASYNC110 - what is waited for happens in another thread
                await asyncio.sleep(0.005)


async def _current() -> bool:
    return True


@asynccontextmanager
async def running(bench: Bench) -> AsyncGenerator[asyncio.Task[int]]:
    """The worker at work. On exit it is drained, unless it has ended by itself; no thread stays behind."""
    thread = threading.Thread(target=bench.engine.run, daemon=True)
    thread.start()
    loaded = await bench.replies.get()
    assert isinstance(loaded, Loaded)
    work = asyncio.create_task(bench.io.run(loaded, bench.replies))
    try:
        yield work
    finally:
        bench.gate.open()
        bench.drain()
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(work, return_exceptions=True)
        await asyncio.to_thread(thread.join, WITHIN_S)
        assert not thread.is_alive()
