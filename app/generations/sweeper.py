"""The sweeper: lost leases, passed deadlines, and results, credits and keys whose time is over, looked after by one gateway at a time.

It looks before it writes, so that a quiet service takes no write lock. It works with no GPU alive.
"""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core import claims, grants, leader, ledger, retention
from app.core.claims import SweepReport
from app.core.ids import new_id
from app.core.ledger import LedgerBroken
from app.core.metrics import SWEPT
from app.core.states import GenerationState
from app.dependencies import Gateway
from app.files import expiry
from app.generations import idempotency, repository

LOCK = "sweeper"
LEAD_SWEEPS = 10
"""The lead lasts this many sweeps, and is renewed when half of it is over."""
MIN_LEAD_S = 5.0
RING_AGAIN_AFTER_S = 5.0
"""Seconds that a generation waits before its pool is rung again, at every sweep."""

log = structlog.stdlib.get_logger(__name__)


class Sweeper:
    """One gateway's turn at sweeping; most of them find that another leads."""

    def __init__(self, parts: Gateway) -> None:
        self._parts = parts
        self._holder = new_id()
        self._every_s = parts.settings.queue.sweep_s
        self._lead_s = max(LEAD_SWEEPS * self._every_s, MIN_LEAD_S)

    async def run(self) -> None:
        """Sweep for ever. A database that is away now is tried again at the next turn."""
        while True:
            try:
                await self.turn()
            except LedgerBroken:
                log.exception("sweep refused by the ledger; run `darkroom ledger verify`")
            except (SQLAlchemyError, OSError) as error:
                log.warning("sweep failed, to be tried again", error=str(error))
            await asyncio.sleep(self._every_s)

    async def turn(self) -> None:
        """Sweep once, if this gateway leads."""
        if await self._leads():
            await self._ring_again()
            await self._sweep()
            await self._expire()
            await self._expire_files()
            await self._expire_credits()
            await self._forget_keys()

    async def _leads(self) -> bool:
        now = self._parts.clock.utc_now()
        async with self._parts.database.read() as session:
            if await leader.leads(session, LOCK, self._holder, now, self._lead_s / 2):
                return True
        async with self._parts.database.write() as session:
            return await leader.try_lead(session, LOCK, self._holder, now, self._lead_s)

    async def _sweep(self) -> None:
        now = self._parts.clock.utc_now()
        async with self._parts.database.read() as session:
            if not await claims.sweep_is_due(session, now):
                return
        async with self._parts.work() as work:
            report = await claims.sweep(work.session, now, self._parts.settings.queue.max_failures)
            for pool in report.pools:
                work.ring(pool)
        _tell(report)

    async def _ring_again(self) -> None:
        """A ring may get lost, with a Redis that dies, say. Workers poll besides; one that has room hears this at once."""
        since = self._parts.clock.utc_now() - timedelta(seconds=RING_AGAIN_AFTER_S)
        async with self._parts.database.read() as session:
            pools = await repository.pools_left_waiting(session, since)
        for pool in pools:
            self._parts.dispatcher.ring(pool)

    async def _expire(self) -> None:
        """Delete the objects first: a crash in between repeats the deletion, and leaves no picture without a row."""
        now = self._parts.clock.utc_now()
        async with self._parts.database.read() as session:
            expired = await retention.expired_tasks(session, now)
        if not expired:
            return
        for task in expired:
            for key in task.object_keys:
                await self._parts.store.delete(key)
        async with self._parts.database.write() as session:
            await retention.forget(session, [task.task_id for task in expired], now)
        log.info("tasks expired", tasks=len(expired))

    async def _expire_files(self) -> None:
        """The objects first, as for tasks."""
        now = self._parts.clock.utc_now()
        async with self._parts.database.read() as session:
            file_ids = await expiry.expired_files(session, now)
        if not file_ids:
            return
        await expiry.remove_objects(self._parts.store, file_ids)
        async with self._parts.database.write() as session:
            await expiry.forget_files(session, file_ids)
        log.info("files expired", files=len(file_ids))

    async def _expire_credits(self) -> None:
        """One account a transaction: each waits for no more than its own submits and settles."""
        now = self._parts.clock.utc_now()
        async with self._parts.database.read() as session:
            accounts = await grants.accounts_with_expired(session, now)
        for account_id in accounts:
            async with self._parts.database.write() as session:
                expired_micro = await ledger.expire(session, account_id, now)
            log.info("credits expired", account_id=account_id, micro=expired_micro)

    async def _forget_keys(self) -> None:
        now = self._parts.clock.utc_now()
        async with self._parts.database.read() as session:
            if not await idempotency.has_expired(session, now):
                return
        async with self._parts.database.write() as session:
            await idempotency.forget_expired(session, now)


def _tell(report: SweepReport) -> None:
    """Put into log and metrics what was changed."""
    for generation_id in report.requeued:
        SWEPT.labels(GenerationState.QUEUED).inc()
        log.warning("lease lost, queued again", generation_id=generation_id)
    for settled in report.settled:
        SWEPT.labels(settled.state).inc()
        log.warning("settled by the sweeper", generation_id=settled.generation_id, state=settled.state)
