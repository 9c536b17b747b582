"""What an end of the bus has heard and nobody has read yet."""

import asyncio
from typing import Final

from app.core.events.base import Event

MAX_EVENTS: Final = 4096


class Inbox:
    """Received messages, bounded: when nobody reads, the oldest is dropped."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue(MAX_EVENTS)

    def put(self, event: Event) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(event)

    async def get(self) -> Event:
        return await self._queue.get()
