"""Events over Redis: two channels, one that gateways hear and one that workers hear. One subscription a process, whoever listens.

Nothing here is durable. While Redis is away messages are lost, which design and tests allow for.
"""

# pyright: reportUnknownMemberType=false
# redis-py leaves keyword arguments and messages without types.

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Literal, cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from app.core.config import RedisSettings
from app.core.events.base import Event, decode, encode
from app.core.events.inbox import Inbox
from app.core.redis import connect_async, delays

Side = Literal["gateways", "workers"]

MAX_UNSENT: Final = 4096
LOOK_AFTER_S: Final = 10.0
"""Seconds of silence after which Redis is asked whether it is still there."""
CLOSE_WITHIN_S: Final = 1.0
CANCEL_AGAIN_AFTER_S: Final = 0.1

log = structlog.stdlib.get_logger(__name__)


class RedisEvents:
    """The end of one side: hears what the other side publishes, at all of its processes."""

    def __init__(self, settings: RedisSettings, side: Side) -> None:
        other: Side = "workers" if side == "gateways" else "gateways"
        self._redis: Redis = connect_async(settings.url)
        self._heard = f"{settings.prefix}:events:{side}"
        self._told = f"{settings.prefix}:events:{other}"
        self._inbox = Inbox()
        self._unsent: asyncio.Queue[bytes] = asyncio.Queue(MAX_UNSENT)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_connected = False

    @property
    def is_connected(self) -> bool:
        """Whether messages are heard at the moment."""
        return self._is_connected

    async def start(self) -> None:
        """Begin connecting; returns at once, whether or not Redis is there."""
        self._tasks = [
            asyncio.create_task(self._stay_subscribed(), name="events-in"),
            asyncio.create_task(self._send_all(), name="events-out"),
        ]

    def publish(self, event: Event) -> None:
        with suppress(asyncio.QueueFull):
            self._unsent.put_nowait(encode(event))

    async def receive(self) -> Event:
        return await self._inbox.get()

    async def close(self) -> None:
        """Send what is left, if Redis takes it at once, and hang up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._unsent.join()
        await _end(self._tasks)
        await self._redis.aclose()

    async def _stay_subscribed(self) -> None:
        waits = delays()
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self._heard)
                    self._is_connected, waits = True, delays()
                    await self._hear(channel)
            except (RedisError, OSError) as error:
                log.warning("no news from Redis", error=str(error))
            finally:
                self._is_connected = False
            await asyncio.sleep(next(waits))

    async def _hear(self, channel: PubSub) -> None:
        while True:
            message = cast("dict[str, bytes] | None", await channel.get_message(timeout=LOOK_AFTER_S))
            if message is None:
                await self._redis.ping()
            elif (event := decode(message["data"])) is not None:
                self._inbox.put(event)

    async def _send_all(self) -> None:
        waits = delays()
        while True:
            line = await self._unsent.get()
            try:
                await self._redis.publish(self._told, line)
                waits = delays()
            except (RedisError, OSError):
                await asyncio.sleep(next(waits))
                self._drop_unsent()
            finally:
                self._unsent.task_done()

    def _drop_unsent(self) -> None:
        """Old news is no use to whoever is there when Redis is back."""
        with suppress(asyncio.QueueEmpty):
            while True:
                self._unsent.get_nowait()
                self._unsent.task_done()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a cancel that falls into a reconnection of redis-py's (8.1) is swallowed there."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_AFTER_S)
