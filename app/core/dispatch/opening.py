"""Which bell the settings mean: RQ's tickets where there is a Redis, else the event bus. RQ is loaded only where it is used."""

import asyncio
from contextlib import AsyncExitStack

from app.core.config import Settings
from app.core.dispatch.base import Dispatcher
from app.core.dispatch.sql import SqlDispatcher
from app.core.events.base import EventBus


def open_dispatcher(settings: Settings, events: EventBus, stack: AsyncExitStack) -> Dispatcher:
    """The gateway's end, at work until the stack closes."""
    if not settings.redis.url:
        return SqlDispatcher(events)
    from app.core.dispatch.rq import RqDispatcher

    dispatcher = RqDispatcher(settings.redis)
    dispatcher.start()
    stack.push_async_callback(asyncio.to_thread, dispatcher.close)
    return dispatcher
