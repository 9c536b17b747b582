"""Claiming: keeps the window full, and lets a shorter row into a full one. Which rows those are, SQL and the scheduler say."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.core.claims import Claim
from workers.engine.scheduler import Opening
from workers.held import HeldRow, HeldRows
from workers.links import EngineLink, Links
from workers.messages import Remove
from workers.retrying import persist

log = structlog.stdlib.get_logger()


class Claiming:
    """Takes rows from the queue and hands them to the engine."""

    def __init__(
        self, links: Links, engine: EngineLink, held: HeldRows, window: int, admit: Callable[[HeldRow], None]
    ) -> None:
        """`admit` hands a row to the engine, now or once its pictures are here."""
        self._links = links
        self._engine = engine
        self._held = held
        self._window = window
        self._admit = admit
        self.opening: Opening | None = None
        """What the full window admits, as the engine said last."""

    async def claim_until(self, ending: asyncio.Event) -> None:
        """Claim whenever the doorbell sounds."""
        while not ending.is_set():
            for claim in await self._claims(is_wanted=lambda: not ending.is_set()):
                self._take(claim)
            await self._links.doorbell.wait()

    async def _claims(self, is_wanted: Callable[[], bool]) -> list[Claim]:
        action = self._next_claim()
        return [] if action is None else (await persist("claim", action, is_wanted)).value or []

    def _next_claim(self) -> Callable[[], Awaitable[list[Claim]]] | None:
        port, opening, room = self._links.port, self.opening, self._window - self._held.num_in_engine
        if room > 0:
            return lambda: port.claim(room)
        if opening is not None:
            self.opening = None
            return lambda: port.claim(1, ahead_of=(opening.priority, opening.shorter_than_s))
        return None

    def _take(self, claim: Claim) -> None:
        row, earlier = self._held.add(claim)
        if earlier is not None:
            self._engine.send(Remove(earlier.key))
        self._admit(row)
        log.info("claimed", generation_id=claim.generation_id, attempt=claim.attempt)
