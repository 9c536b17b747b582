"""Where bursts are counted: in Redis where there is one, else in this process. Redis is loaded only where it is used."""

from contextlib import AsyncExitStack

from app.core.config import RedisSettings
from app.limits.gcra import BurstStore, MemoryBurstStore


def open_bursts(settings: RedisSettings, stack: AsyncExitStack) -> BurstStore:
    """The store of a gateway, until the stack closes. It connects at its first request."""
    if not settings.url:
        return MemoryBurstStore()
    from app.limits.redis import RedisBurstStore

    store = RedisBurstStore(settings)
    stack.push_async_callback(store.close)
    return store
