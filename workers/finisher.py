"""Finisher: what happens to a row after the engine. Encode in a thread, have it judged, sign, store, settle in one transaction, tell
the gateway.

The order is the promise: what may not be shown is never stored, the picture is durable before the row says so, and the row says so
before anybody is told. A settle that is refused means that the row is no longer this attempt's; then the object of this attempt goes.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from numpy import uint8
from numpy.typing import NDArray

from app.core.claims import Delivered, Failed
from app.core.clock import Clock
from app.core.errors import ModerationUnavailable
from app.core.events.base import Done
from app.core.ids import result_key
from app.core.spec import GenerationSpec
from app.core.states import FINAL_STATES, GenerationState
from app.moderation.verdict import ALLOWED, RESULT, Verdict
from workers.artifacts import Artifact, encode, signed
from workers.engine.engine import ROW_ERRORS
from workers.errors import JobError, StoreUnavailable, Unjudged, job_error
from workers.held import HeldRow, HeldRows
from workers.links import Links
from workers.retrying import Persisted, delays, persist

MAX_PUTS = 4
MAX_ASKED = 4

log = structlog.stdlib.get_logger()


class Finisher:
    """Settles held rows, one call each; when it returns, the row is no longer held."""

    def __init__(self, links: Links, held: HeldRows, clock: Clock) -> None:
        self._port = links.port
        self._store = links.store
        self._events = links.events
        self._marks = links.marks
        self._judge = links.judge
        self._held = held
        self._clock = clock

    async def deliver(self, row: HeldRow, image_HWC: NDArray[uint8]) -> None:
        """Store the image and settle the row as ready; as moderated when it may not be shown, and as failed when it cannot be encoded,
        judged, signed or stored."""
        spec = row.claim.spec
        object_key = result_key(*row.key, spec.output_format)
        try:
            about = self._marks.about(spec)
            plain = await asyncio.to_thread(encode, image_HWC, spec.output_format, spec.output_quality, about)
            verdict = await self._judged(plain, spec)
            if verdict.is_blocked:
                await self._moderate(row, verdict)
                return
            artifact = await self._signed(plain, spec)
            await self._put(row, object_key, artifact)
        except (JobError, *ROW_ERRORS) as error:
            await self.fail(row, error)
            return
        delivered = self._delivered(row, object_key, artifact)
        settled = await self._settle(row, GenerationState.READY, lambda: self._port.deliver(*row.key, delivered))
        if not settled.value and not settled.has_failed:
            await self._discard(object_key)

    async def fail(self, row: HeldRow, error: Exception) -> None:
        """Settle the row as failed: queued again while retrying may help, else an error that costs nothing."""
        reason = job_error(error)
        log.warning("generation failed", code=reason.code, is_retryable=reason.is_retryable, exc_info=error)
        failed = Failed(reason.code, reason.message, reason.is_retryable)
        state = GenerationState.QUEUED if reason.is_retryable else GenerationState.ERROR
        await self._settle(row, state, lambda: self._port.fail(*row.key, failed))

    async def cancel(self, row: HeldRow) -> None:
        """Settle the row as cancelled."""
        await self._settle(row, GenerationState.CANCELLED, lambda: self._port.cancelled(*row.key))

    async def _judged(self, artifact: Artifact, spec: GenerationSpec) -> Verdict:
        """What the classifier says, asked a few times while it is away. Raises Unjudged when it is needed and never answered."""
        if self._judge is None:
            return ALLOWED
        waits = delays()
        for num_tries in range(1, MAX_ASKED + 1):
            try:
                return await self._judge.check_picture(
                    artifact.data, artifact.content_type, RESULT, spec.safety_tolerance
                )
            except ModerationUnavailable:
                if num_tries < MAX_ASKED:
                    await asyncio.sleep(next(waits))
        raise Unjudged

    async def _signed(self, artifact: Artifact, spec: GenerationSpec) -> Artifact:
        if self._marks.credentials is None:
            return artifact
        return await asyncio.to_thread(signed, artifact, spec, self._marks.credentials)

    async def _moderate(self, row: HeldRow, verdict: Verdict) -> None:
        """Settle the row as moderated: the reasons are kept, the picture is not, and it costs nothing."""
        blocked = Failed("content_moderated", verdict.to_text(), retryable=False, state="content_moderated")
        await self._settle(row, GenerationState.CONTENT_MODERATED, lambda: self._port.fail(*row.key, blocked))

    async def _settle(
        self, row: HeldRow, state: GenerationState, action: Callable[[], Awaitable[bool]]
    ) -> Persisted[bool]:
        """Try until the database has answered or the row is lost, then tell the gateway how it ended."""
        settled = await persist(f"settle as {state}", action, lambda: self._held.get(row.key) is row)
        self._held.drop(row.key)
        if settled.value:
            log.info("settled", state=state, attempt=row.claim.attempt)
        if settled.value and state in FINAL_STATES:
            self._events.publish(Done(row.claim.generation_id, row.claim.task_id, state))
        return settled

    async def _put(self, row: HeldRow, object_key: str, artifact: Artifact) -> None:
        """Store with a few tries; raises StoreUnavailable when none worked."""
        waits = delays()
        for num_tries in range(1, MAX_PUTS + 1):
            try:
                await self._store.put(object_key, artifact.data, artifact.content_type)
                return
            except OSError as error:
                log.warning("object store refused", num_tries=num_tries, error=str(error))
                if num_tries < MAX_PUTS:
                    await asyncio.sleep(next(waits))
        raise StoreUnavailable

    async def _discard(self, object_key: str) -> None:
        """Nothing refers to this object; what cannot be deleted now goes with its task's retention."""
        try:
            await self._store.delete(object_key)
        except OSError as error:
            log.warning("object not deleted", object_key=object_key, error=str(error))

    def _delivered(self, row: HeldRow, object_key: str, artifact: Artifact) -> Delivered:
        return Delivered(
            object_key=object_key,
            content_type=artifact.content_type,
            sha256=artifact.sha256,
            width=artifact.width,
            height=artifact.height,
            seed=row.claim.spec.seed,
            num_bytes=len(artifact.data),
            finished_at=self._clock.utc_now(),
        )
