"""Which bus the settings mean: Redis where there is one, else the local socket. Redis is loaded only where it is used."""

from app.core.config import Settings
from app.core.events.base import EventBus
from app.core.events.local import LocalEventClient, LocalEventServer, events_socket_path


def gateway_events(settings: Settings) -> EventBus:
    """The end of a gateway, not yet started."""
    if not settings.redis.url:
        return LocalEventServer(events_socket_path(settings))
    from app.core.events.redis import RedisEvents

    return RedisEvents(settings.redis, "gateways")


def worker_events(settings: Settings) -> EventBus:
    """The end of a worker, not yet started."""
    if not settings.redis.url:
        return LocalEventClient(events_socket_path(settings))
    from app.core.events.redis import RedisEvents

    return RedisEvents(settings.redis, "workers")
