"""Tickets: RQ's stock worker on the process's main thread, whose only task rings the bell of the I/O side and returns.

A ticket says that there is work, and SQL says which. So nothing that RQ may lose, run twice or forget matters, and nothing of it
is overridden. While Redis is away the bell sounds by itself, at every poll.
"""

# pyright: reportUnknownMemberType=false
# RQ and redis-py leave some of their arguments without types.

import signal
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer

from app.core.config import RedisSettings
from app.core.dispatch.rq import ticket_queue
from app.core.redis import connect, delays

WORKER_TTL_S: Final = 20
"""RQ waits for a ticket 15 s less than this at a time, and for an answer of Redis 5 s less."""
LONGEST_DELAY_S: Final = 5.0
"""Between RQ's attempts to reach a Redis that is away."""

_bell: ContextVar[Callable[[], None]] = ContextVar("bell")

log = structlog.stdlib.get_logger()


def ring() -> None:
    """The task of every ticket: RQ calls it by its name (app.core.dispatch.rq.RING_TASK)."""
    _bell.get()()


def ring_for_tickets(redis: RedisSettings, pool: str, bell: Callable[[], None], pause: Callable[[float], bool]) -> None:
    """Ring for each ticket until SIGTERM or SIGINT. In the main thread only, for there RQ hears signals.

    `pause` waits for so many seconds and says whether to give up; between two runs of RQ the signals are its business.
    """
    _bell.set(bell)
    connection, waits = connect(redis.url), delays()
    try:
        while not _run_rq(connection, redis.prefix, pool):
            if pause(next(waits)):
                return
    except StopRequested:
        return  # RQ's answer to a signal, which came while RQ was not at work
    finally:
        connection.close()


def _run_rq(connection: Redis, prefix: str, pool: str) -> bool:
    """Run RQ's worker until a signal or Redis ends it. Returns whether it was a signal."""
    try:
        queue = ticket_queue(connection, prefix, pool)
        worker = SimpleWorker([queue], connection=connection, serializer=JSONSerializer, worker_ttl=WORKER_TTL_S)
    except RedisError as error:
        log.warning("no tickets from Redis", error=str(error))
        return False
    worker.max_connection_wait_time = LONGEST_DELAY_S
    try:
        worker.work(logging_level="ERROR")
    except RedisError as error:
        log.warning("no more tickets from Redis", error=str(error))
    return signal.getsignal(signal.SIGTERM) == worker.request_force_stop  # which RQ sets at the first signal
