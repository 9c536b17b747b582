"""Dispatch without a server: the gateway's ring goes over the event bus, and a worker polls SQL besides."""

import asyncio

from app.core.events.base import EventBus, Ring


class SqlDispatcher:
    """Rings by event."""

    def __init__(self, events: EventBus) -> None:
        self._events = events

    def ring(self, pool: str) -> None:
        self._events.publish(Ring(pool))


class PollingDoorbell:
    """Sounds when rung, and every `poll_s` seconds whether rung or not."""

    def __init__(self, poll_s: float) -> None:
        self._poll_s = poll_s
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        """Return at the next ring, at once if one came since the last wait, or after `poll_s`."""
        try:
            async with asyncio.timeout(self._poll_s):
                await self._rung.wait()
        except TimeoutError:
            return
        finally:
            self._rung.clear()
