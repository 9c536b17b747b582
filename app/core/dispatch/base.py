"""The two ends of a doorbell: the gateway rings, a worker waits. No job travels through either."""

from typing import Protocol


class Dispatcher(Protocol):
    """The gateway's end."""

    def ring(self, pool: str) -> None:
        """Tell the workers of `pool` that there is work. Never waits, never fails: a lost ring costs one poll."""
        ...


class Doorbell(Protocol):
    """The worker's end."""

    def ring(self) -> None: ...

    async def wait(self) -> None:
        """Return when there may be work."""
        ...
