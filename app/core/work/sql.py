"""SqlWorkPort: the port over a direct database connection, one transaction a call."""

from collections.abc import Collection, Sequence
from datetime import datetime

from app.core import claims, registry
from app.core.claims import Claim, Delivered, Failed, Held, Place, RenewResult
from app.core.clock import Clock
from app.core.config import QueueSettings
from app.core.db.engine import Database
from app.core.registry import RegistrationRecord, WorkerRecord


class SqlWorkPort:
    """One worker's view of the queue. The database stays its maker's to close."""

    def __init__(
        self,
        database: Database,
        queue: QueueSettings,
        clock: Clock,
        worker_id: str,
        pool: str,
        networks: Collection[str],
    ) -> None:
        self._database = database
        self._queue = queue
        self._clock = clock
        self._worker_id = worker_id
        self._pool = pool
        self._networks = tuple(networks)

    async def register(self, worker: WorkerRecord, registrations: Sequence[RegistrationRecord], now: datetime) -> None:
        async with self._database.write() as session:
            await registry.register(session, worker, registrations, now)

    async def seen(self, worker_id: str, now: datetime) -> None:
        async with self._database.write() as session:
            await registry.seen(session, worker_id, self._pool, self._networks, now)

    async def claim(self, limit: int, *, ahead_of: Place | None = None) -> list[Claim]:
        now = self._clock.utc_now()
        async with self._database.read() as session:
            if limit < 1 or not await claims.has_work(session, self._pool, self._networks, now, ahead_of):
                return []
        async with self._database.write() as session:
            now = self._clock.utc_now()
            return await claims.claim(
                session,
                self._worker_id,
                self._pool,
                self._networks,
                limit,
                now,
                self._queue.lease_s,
                ahead_of,
                ageing_s=self._queue.ageing_s,
            )

    async def first_step(self, held: Sequence[Held]) -> None:
        async with self._database.write() as session:
            await claims.mark_first_step(session, held, self._clock.utc_now())

    async def renew(self, held: Sequence[Held]) -> RenewResult:
        async with self._database.write() as session:
            return await claims.renew(session, held, self._clock.utc_now(), self._queue.lease_s)

    async def hand_back(self, held: Sequence[Held]) -> None:
        async with self._database.write() as session:
            await claims.hand_back(session, held, self._clock.utc_now())

    async def deliver(self, generation_id: str, attempt: int, delivered: Delivered) -> bool:
        async with self._database.write() as session:
            return await claims.settle_delivered(session, generation_id, attempt, delivered, self._clock.utc_now())

    async def fail(self, generation_id: str, attempt: int, failed: Failed) -> bool:
        async with self._database.write() as session:
            now, limit = self._clock.utc_now(), self._queue.max_failures
            return await claims.settle_failed(session, generation_id, attempt, failed, now, limit)

    async def cancelled(self, generation_id: str, attempt: int) -> bool:
        async with self._database.write() as session:
            return await claims.settle_cancelled(session, generation_id, attempt, self._clock.utc_now())

    async def close(self) -> None:
        async with self._database.write() as session:
            await registry.retire(session, self._worker_id)
