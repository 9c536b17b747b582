"""The doorbell: a ring is heard once, also one that came before anybody waited."""

import asyncio

import pytest

from app.core.dispatch.sql import PollingDoorbell, SqlDispatcher
from app.core.events.base import Event, Ring

pytestmark = pytest.mark.anyio

NEVER_S = 3600.0


class Recorder:
    """An event bus that keeps what was published."""

    def __init__(self) -> None:
        self.published: list[Event] = []

    async def start(self) -> None: ...

    def publish(self, event: Event) -> None:
        self.published.append(event)

    async def receive(self) -> Event:
        return await asyncio.get_running_loop().create_future()

    async def close(self) -> None: ...


async def test_a_ring_names_its_pool() -> None:
    bus = Recorder()
    SqlDispatcher(bus).ring("gpu")
    assert bus.published == [Ring("gpu")]


async def test_a_ring_wakes_who_waits() -> None:
    bell = PollingDoorbell(NEVER_S)
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    bell.ring()
    await waiting


async def test_an_early_ring_is_heard_once() -> None:
    bell = PollingDoorbell(NEVER_S)
    bell.ring()
    await bell.wait()
    again = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()


async def test_without_a_ring_it_sounds_at_every_poll() -> None:
    bell = PollingDoorbell(0.0)
    await bell.wait()
    await bell.wait()
