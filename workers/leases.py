"""Leases: renews what this worker holds, drops what it has lost, stops what was cancelled, and knows when to give up.

Renewals go on while a long step runs, for they come from another thread; a watchdog keeps them from going on for ever.
"""

import asyncio
from contextlib import suppress

import structlog

from app.core.claims import Held, RenewResult
from app.core.clock import Clock
from app.core.work.base import WorkPort
from workers.held import HeldRows
from workers.links import EngineLink, Rhythm
from workers.messages import Remove
from workers.retrying import persist
from workers.watchdog import Watchdog

log = structlog.stdlib.get_logger()


class Leases:
    """The leases of one worker."""

    def __init__(
        self, port: WorkPort, worker_id: str, engine: EngineLink, held: HeldRows, rhythm: Rhythm, clock: Clock
    ) -> None:
        self._port = port
        self._worker_id = worker_id
        self._engine = engine
        self._held = held
        self._renew_s = rhythm.renew_s
        self._watchdog = Watchdog(rhythm.hung_after_s)
        self._clock = clock
        self._is_wanted_now = asyncio.Event()

    def renew_now(self) -> None:
        """Somebody says that a row was cancelled: look without waiting for the next renewal."""
        self._is_wanted_now.set()

    async def keep(self) -> None:
        """Renew until the engine hangs in a step; then return, and let the leases run out."""
        while not self._is_hung():
            await self._renew()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._renew_s):
                    await self._is_wanted_now.wait()
            self._is_wanted_now.clear()

    def _is_hung(self) -> bool:
        now_s = self._clock.monotonic_s()
        return self._watchdog.is_hung(self._engine.beats, is_busy=self._engine.is_busy, now_s=now_s)

    async def _renew(self) -> None:
        renewed = (await persist("renew", self._renew_held, lambda: True)).value
        assert renewed is not None, "a renewal is always wanted"
        held, result = renewed
        for key in held:
            if key[0] in result.lost:
                self._lose(key)
            elif key[0] in result.cancelled:
                self._stop(key)
        await persist("seen", lambda: self._port.seen(self._worker_id, self._clock.utc_now()), lambda: True)

    async def _renew_held(self) -> tuple[list[Held], RenewResult]:
        held = self._held.keys()
        return held, await self._port.renew(held)

    def _lose(self, key: Held) -> None:
        """The row is another attempt's now, or was settled this very moment."""
        if self._held.drop(key):
            log.warning("lease lost", generation_id=key[0], attempt=key[1])
            self._engine.send(Remove(key))

    def _stop(self, key: Held) -> None:
        row = self._held.get(key)
        if row is not None and not row.is_cancelled:
            row.is_cancelled = True
            self._engine.send(Remove(key))
