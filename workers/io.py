"""The I/O side of a worker: all that waits on SQL, sockets or disks, on one event loop.

It hears what the engine's thread says and has rows settled, handed back and shown; claiming and renewing run beside it. It
decides no order and touches no tensor.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import structlog

from app.core.clock import Clock
from app.core.events.base import Cancel, Progress, Ring
from app.core.logging import bind
from app.core.registry import RegistrationRecord, WorkerRecord
from workers.claiming import Claiming
from workers.engine.events import Began, Expired, Failed, Finished, Previewed, PreviewFailed, Stepped
from workers.engine.row import RowKey
from workers.errors import DeadlineExceeded, JobError, is_device_lost
from workers.finisher import Finisher
from workers.held import HeldRow, HeldRows
from workers.inputs import pictures_of
from workers.leases import Leases
from workers.links import EngineLink, Links, Rhythm
from workers.messages import (
    Admit,
    Ended,
    EndWanted,
    Loaded,
    Opened,
    Released,
    ReleaseUnstarted,
    Remove,
    Removed,
    Reply,
    Stop,
)
from workers.previews import Previews
from workers.progress import ProgressThrottle
from workers.request import request_of
from workers.retrying import AWAY, persist

PROGRESS_INTERVAL_S = 0.25

log = structlog.stdlib.get_logger()


class WorkerIO:
    """One worker's I/O, from the moment its weights are loaded to its end."""

    def __init__(self, links: Links, engine: EngineLink, worker: WorkerRecord, rhythm: Rhythm, clock: Clock) -> None:
        self._links = links
        self._engine = engine
        self._worker = worker
        self._rhythm = rhythm
        self._clock = clock
        self._held = HeldRows()
        self._claiming = Claiming(links, engine, self._held, rhythm.window, self._admit)
        self._leases = Leases(links.port, worker.id, engine, self._held, rhythm, clock)
        self._finisher = Finisher(links, self._held, clock)
        self._previews = Previews(links.events)
        self._throttle = ProgressThrottle(PROGRESS_INTERVAL_S)
        self._ending = asyncio.Event()
        self._grace_s = rhythm.drain_s
        self._abandoned = asyncio.Event()
        self._exit_code = 0
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, loaded: Loaded, replies: asyncio.Queue[Reply]) -> int:
        """Serve until told to end. Returns the exit code of the process."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._start(self._hear(replies))
            self._start(self._listen())
            await self._serve(loaded)
            for task in self._tasks:
                task.cancel()
        self._engine.send(Stop())
        await self._say_goodbye()
        return self._exit_code

    @property
    def num_held(self) -> int:
        """Rows whose lease this worker has."""
        return len(self._held.keys())

    def end(self, *, grace_s: float | None = None, exit_code: int = 0) -> None:
        """Claim no more; let running rows finish for grace_s (the drain time unless given), then hand back the rest."""
        self._grace_s = self._grace_s if grace_s is None else grace_s
        self._exit_code = self._exit_code or exit_code
        self._ending.set()
        self._links.doorbell.ring()

    def _abandon(self, reason: str) -> None:
        """End at once and hand nothing back: the leases run out, and rows that had begun become suspects, for one of them
        may be to blame."""
        log.error("abandoning all rows", reason=reason, num_rows=self.num_held)
        self._abandoned.set()
        self.end(exit_code=1)

    async def _serve(self, loaded: Loaded) -> None:
        """Register, claim until told to end, drain."""
        await persist("register", lambda: self._register(loaded), lambda: not self._ending.is_set())
        self._start(self._keep_leases())
        claiming = self._start(self._claiming.claim_until(self._ending))
        await self._ending.wait()
        await asyncio.wait([claiming], timeout=self._rhythm.goodbye_s)
        await self._drain()

    async def _register(self, loaded: Loaded) -> None:
        """Say that this worker is ready; end instead when the database is not of this version."""
        if not await self._links.schema_is_current():
            log.error("the database's schema is not this version's; run `darkroom db upgrade` first")
            self.end(exit_code=1)
            return
        records = [RegistrationRecord(name, revision) for name, revision in loaded.revisions.items()]
        await self._links.port.register(self._worker, records, self._clock.utc_now())
        log.info("ready", worker_id=self._worker.id, pool=self._worker.pool, networks=loaded.revisions)

    async def _keep_leases(self) -> None:
        await self._leases.keep()
        self._abandon("the engine hangs in a step")

    async def _drain(self) -> None:
        """Give the unstarted rows back and wait for the others; give back what the engine has not done in time, and in the
        end what could not be settled."""
        log.info("draining", num_rows=self.num_held, grace_s=self._grace_s)
        self._engine.send(ReleaseUnstarted())
        await self._wait_until_settled(self._grace_s)
        await self._give_back(self._held.keys(in_engine_only=True))
        await self._wait_until_settled(self._rhythm.goodbye_s)
        await self._give_back(self._held.keys())

    async def _wait_until_settled(self, within_s: float) -> None:
        done = {self._start(self._held.wait_until_empty()), self._start(self._abandoned.wait())}
        await asyncio.wait(done, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)

    async def _give_back(self, keys: Sequence[RowKey]) -> None:
        """Hand rows back without waiting for the engine, which may be in a long step."""
        if self._abandoned.is_set():
            return
        for key in keys:
            self._engine.send(Remove(key))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rhythm.goodbye_s):
                await self._hand_back(keys)

    async def _say_goodbye(self) -> None:
        try:
            async with asyncio.timeout(self._rhythm.goodbye_s):
                await self._links.port.close()
        except (TimeoutError, *AWAY) as error:
            log.warning("left without a word", error=str(error))

    async def _listen(self) -> None:
        """Messages of the gateway. Both kinds only say that SQL is worth a look."""
        while True:
            event = await self._links.events.receive()
            if isinstance(event, Ring) and event.pool == self._worker.pool:
                self._links.doorbell.ring()
            if isinstance(event, Cancel) and self._held.of_generation(event.generation_id) is not None:
                self._leases.renew_now()

    def _admit(self, row: HeldRow) -> None:
        """Hand a row to the engine, once its pictures are here."""
        if row.claim.spec.inputs:
            self._start_for(row, self._admit_with_pictures(row))
        else:
            self._engine.send(Admit(request_of(row.claim, self._clock)))

    async def _admit_with_pictures(self, row: HeldRow) -> None:
        try:
            pictures = await pictures_of(row.claim.spec, self._links.store)
        except (JobError, OSError) as error:
            if self._held.get(row.key) is row:
                self._hear_of_row(row, Failed(row.key, error))
            return
        if self._held.get(row.key) is row and row.is_in_engine and not row.is_cancelled:
            self._engine.send(Admit(request_of(row.claim, self._clock, pictures)))

    async def _hear(self, replies: asyncio.Queue[Reply]) -> None:
        """What the engine's thread says, in its order."""
        while True:
            reply = await replies.get()
            match reply:
                case Previewed(key) | PreviewFailed(key):
                    row = self._held.get(key)
                    if row is not None:
                        self._hear_of_preview(row, reply)
                case Began(key) | Stepped(key) | Finished(key) | Failed(key) | Expired(key) | Removed(key):
                    row = self._held.get(key)
                    if row is not None:
                        self._hear_of_row(row, reply)
                case Released(keys):
                    self._start(self._hand_back(keys))
                case Opened(opening):
                    self._claiming.opening = opening
                case Loaded():
                    raise AssertionError("weights are loaded once")
                case Ended():
                    self._abandon("the engine's thread has ended")
                case EndWanted():
                    self.end()

    def _hear_of_row(self, row: HeldRow, reply: Began | Stepped | Finished | Failed | Expired | Removed) -> None:
        match reply:
            case Began():
                self._start_for(row, self._mark_first_step(row))
            case Stepped(key, step, num_steps):
                if self._throttle.lets_through(key, step, num_steps, self._clock.monotonic_s()):
                    self._links.events.publish(Progress(key[0], step, num_steps))
            case Finished(image_HWC=image_HWC):
                work = self._finisher.cancel(row) if row.is_cancelled else self._finisher.deliver(row, image_HWC)
                self._settle(row, work)
            case Failed(error=error):
                self._settle(row, self._finisher.fail(row, error))
                if is_device_lost(error):
                    self.end(grace_s=0.0, exit_code=1)
            case Expired():
                self._settle(row, self._finisher.fail(row, DeadlineExceeded()))
            case Removed():
                if row.is_cancelled:
                    self._settle(row, self._finisher.cancel(row))

    def _hear_of_preview(self, row: HeldRow, reply: Previewed | PreviewFailed) -> None:
        match reply:
            case Previewed() if self._links.judge is not None:
                pass  # nobody sees what has not been judged
            case Previewed():
                self._start_for(row, self._previews.send(reply, row.claim.spec.width, row.claim.spec.height))
            case PreviewFailed(key, error):
                log.warning("no previews", generation_id=key[0], exc_info=error)

    def _settle(self, row: HeldRow, work: Coroutine[Any, Any, None]) -> None:
        """The row has left the engine: there is room for another while this one is settled."""
        row.is_in_engine = False
        self._throttle.forget(row.key)
        self._start_for(row, work)
        self._links.doorbell.ring()

    async def _mark_first_step(self, row: HeldRow) -> None:
        await persist(
            "first step", lambda: self._links.port.first_step([row.key]), lambda: self._held.get(row.key) is row
        )

    async def _hand_back(self, keys: Sequence[RowKey]) -> None:
        """Queue these rows again, those that are still held."""
        rows = [row for row in map(self._held.get, keys) if row is not None]
        for row in rows:
            row.is_in_engine = False
        if not rows:
            return
        held = [row.key for row in rows]
        await persist("hand back", lambda: self._links.port.hand_back(held), lambda: bool(self._held.among(held)))
        for key in held:
            self._held.drop(key)
        log.info("handed back", generation_ids=[key[0] for key in held])

    def _start_for(self, row: HeldRow, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the rest, with the row's name on every line of the log."""
        with bind(generation_id=row.claim.generation_id):
            self._start(work)

    def _start(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run beside the rest until done or until the worker ends; an unforeseen error ends the worker."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
