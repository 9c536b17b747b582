"""Dispatch over Redis: a ring is a ticket in RQ's queue of the pool. A ticket names no job; a worker that gets one looks in SQL.

Whoever rings only leaves word for a thread of this process, which owns the connection. While Redis is away rings are lost, and
the workers' polls find the work.
"""

# pyright: reportUnknownMemberType=false
# RQ leaves the arguments of tasks without types.

import threading
from collections import Counter
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Final

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from app.core.config import RedisSettings
from app.core.redis import connect, delays

RING_TASK: Final = "workers.tickets.ring"
"""What a worker runs for a ticket, by name: gateways never import workers."""
MAX_TICKETS: Final = 256
"""Tickets of a pool that may wait: when nobody takes so many, more would wake nobody either."""
MAX_UNSENT: Final = 1024
"""Rings that wait for the thread; those beyond it are dropped."""
TICKET_LIFE_S: Final = 60
RING_WITHIN_S: Final = 10
CLOSE_WITHIN_S: Final = 2.0

log = structlog.stdlib.get_logger(__name__)


def ticket_queue(redis: Redis, prefix: str, pool: str) -> Queue:
    """The one queue of a pool: from a single queue RQ takes tickets atomically."""
    return Queue(f"{prefix}-{pool}", connection=redis, serializer=JSONSerializer)


def send_tickets(queue: Queue, count: int) -> None:
    """Queue so many tickets in one trip, fewer where many wait already. Raises RedisError."""
    room = min(count, MAX_TICKETS - queue.count)
    ticket = Queue.prepare_data(
        RING_TASK,
        timeout=RING_WITHIN_S,
        ttl=TICKET_LIFE_S,
        result_ttl=0,
        failure_ttl=TICKET_LIFE_S,
        description="there is work",
    )
    if room > 0:
        queue.enqueue_many([ticket] * room)


class RqDispatcher:
    """The gateway's end. start() it once, close() it at the end."""

    def __init__(self, settings: RedisSettings) -> None:
        self._redis = connect(settings.url)
        self._prefix = settings.prefix
        self._rung: SimpleQueue[str | None] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._send_until_closed, name="tickets", daemon=True)

    def start(self) -> None:
        """Begin to send; Redis need not be there yet."""
        self._thread.start()

    def ring(self, pool: str) -> None:
        if self._rung.qsize() < MAX_UNSENT:
            self._rung.put(pool)

    def close(self) -> None:
        """Send what was rung for, if Redis takes it within moments, and stop."""
        self._closing.set()
        self._rung.put(None)
        self._thread.join(CLOSE_WITHIN_S)
        self._redis.close()

    def _send_until_closed(self) -> None:
        waits = delays()
        while True:
            pools, is_last = self._next()
            try:
                self._send(pools)
                waits = delays()
            except RedisError as error:
                log.warning("Redis takes no tickets, workers poll", error=str(error))
                self._closing.wait(next(waits))
            if is_last:
                return

    def _next(self) -> tuple[Mapping[str, int], bool]:
        """Rings since the last look by pool, once there is one; and whether the dispatcher is closing."""
        rung = [self._rung.get()]
        while True:
            try:
                rung.append(self._rung.get_nowait())
            except Empty:
                return Counter(pool for pool in rung if pool is not None), None in rung

    def _send(self, pools: Mapping[str, int]) -> None:
        for pool, count in pools.items():
            send_tickets(ticket_queue(self._redis, self._prefix, pool), count)
