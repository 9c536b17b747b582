"""Connections to Redis: how long to wait for it, and for how long to leave it alone when it is away."""

# pyright: reportUnknownMemberType=false
# redis-py leaves keyword arguments and messages without types.

from collections.abc import Iterator
from typing import Any, Final

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ConstantBackoff
from redis.retry import Retry

ANSWER_WITHIN_S: Final = 5.0
CONNECT_WITHIN_S: Final = 2.0
PING_AFTER_S: Final = 15
"""Seconds of silence after which a connection is tried before it is used."""
AGAIN_AFTER: Final = ConstantBackoff(0.05)
"""A connection that a restart has cut is made anew once, at once; who finds nobody waits for `delays` instead."""
FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 2.0


def connect(url: str) -> Redis:
    """A client for threads. It connects at its first command."""
    return Redis.from_url(url, retry=Retry(AGAIN_AFTER, 1), **_patience())


def connect_async(url: str) -> AsyncRedis:
    """A client for an event loop. It connects at its first command."""
    return AsyncRedis.from_url(url, retry=AsyncRetry(AGAIN_AFTER, 1), **_patience())


def delays() -> Iterator[float]:
    """Seconds to wait after each failure in turn: doubling up to a limit."""
    delay_s = FIRST_DELAY_S
    while True:
        yield delay_s
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)


def _patience() -> dict[str, Any]:
    return {
        "socket_timeout": ANSWER_WITHIN_S,
        "socket_connect_timeout": CONNECT_WITHIN_S,
        "health_check_interval": PING_AFTER_S,
    }
