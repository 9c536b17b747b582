"""Bursts that all gateways count together: the cell rate algorithm as a script in Redis, one for each request, by Redis's own clock.

Nothing here is money, so a gateway that cannot reach Redis counts by itself meanwhile: it lets through what one gateway would.
"""

# pyright: reportUnknownMemberType=false
# redis-py leaves keyword arguments and answers without types.

import asyncio
from typing import Final, cast

import structlog
from redis.exceptions import RedisError

from app.core.config import RedisSettings
from app.core.redis import connect_async, delays
from app.limits.gcra import SLACK, BurstLimit, MemoryBurstStore, Verdict, passed, refused

ANSWER_WITHIN_S: Final = 0.25
"""Longest that a request waits for Redis; then its gateway counts alone for a while."""

TAKE: Final = """
-- KEYS[1]: theoretical arrival time, in microseconds since 1970. ARGV: interval, window and slack, in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, window, slack = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local successor = arrival + interval
local early = successor - window - now
if early > slack then
  return {0, string.format('%.3f', early)}
end
redis.call('SET', KEYS[1], string.format('%.3f', successor), 'PX', math.ceil((successor - now) / 1000) + 1)
return {1, string.format('%.3f', successor - now)}
"""
GIVE_BACK: Final = """
local arrival = redis.call('GET', KEYS[1])
if arrival then
  redis.call('SET', KEYS[1], string.format('%.3f', arrival - ARGV[1]), 'KEEPTTL')
end
"""
MICRO: Final = 1e6
LEAST_SLACK: Final = 1.0
"""Microseconds: what a moment since 1970 is rounded to in a script's numbers, and some."""

log = structlog.stdlib.get_logger(__name__)


class RedisBurstStore:
    """One count for all gateways that share a Redis and a prefix. A wiped Redis forgives."""

    def __init__(self, settings: RedisSettings) -> None:
        self._redis = connect_async(settings.url)
        self._prefix = f"{settings.prefix}:burst"
        self._take = self._redis.register_script(TAKE)
        self._give_back = self._redis.register_script(GIVE_BACK)
        self._alone = MemoryBurstStore()
        self._waits = delays()
        self._alone_until_s = 0.0
        self._is_away = False

    async def take(self, limit: BurstLimit, caller: str, now_s: float) -> Verdict:
        if now_s < self._alone_until_s:
            return await self._alone.take(limit, caller, now_s)
        if self._is_away:  # one request tries again, and no other waits beside it
            self._alone_until_s = now_s + ANSWER_WITHIN_S
        interval = limit.interval_s * MICRO
        arguments = [interval, limit.window_s * MICRO, max(interval * SLACK, LEAST_SLACK)]
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = await self._take(keys=[self._key(limit, caller)], args=arguments)
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            self._count_alone(error, now_s)
            return await self._alone.take(limit, caller, now_s)
        self._is_away, self._alone_until_s, self._waits = False, 0.0, delays()
        passes, left = cast("tuple[int, bytes]", answer)
        return passed(limit, float(left) / MICRO) if passes else refused(limit, float(left) / MICRO)

    async def give_back(self, limit: BurstLimit, caller: str) -> None:
        """Given back to both counts: only one of them had it, and the other has nothing to give back, or forgives one."""
        await self._alone.give_back(limit, caller)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._give_back(keys=[self._key(limit, caller)], args=[limit.interval_s * MICRO])
        except (RedisError, OSError) as error:
            log.info("not given back", limit=limit.name, error=str(error))

    async def close(self) -> None:
        await self._redis.aclose()

    def _key(self, limit: BurstLimit, caller: str) -> str:
        return f"{self._prefix}:{limit.name}:{caller}"

    def _count_alone(self, error: Exception, now_s: float) -> None:
        self._is_away, self._alone_until_s = True, now_s + next(self._waits)
        log.warning("bursts are counted here alone", error=str(error) or type(error).__name__)
