"""Events over a real Redis: both ways, to every process of a side, through Redis's death."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from app.core.config import RedisSettings
from app.core.events.base import Cancel, Done, Event, Progress, Ring
from app.core.events.redis import RedisEvents, Side
from tests.fixtures.redis_server import RedisServer

pytestmark = pytest.mark.anyio

SOON_S = 20.0


@pytest.fixture
def settings(redis_server: RedisServer) -> RedisSettings:
    return RedisSettings(url=redis_server.url)


@pytest.fixture
async def bus(settings: RedisSettings) -> AsyncIterator[Callable[[Side], RedisEvents]]:
    """Makes started ends, and closes them."""
    opened: list[RedisEvents] = []

    def make(side: Side, prefix: str = settings.prefix) -> RedisEvents:
        opened.append(RedisEvents(settings.model_copy(update={"prefix": prefix}), side))
        return opened[-1]

    yield make
    for end in opened:
        await end.close()


async def connected(*ends: RedisEvents) -> None:
    for end in ends:
        await end.start()
    await until(lambda: all(end.is_connected for end in ends))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110 - a connection sets no event
            await asyncio.sleep(0.001)


async def heard(end: RedisEvents, count: int = 1) -> list[Event]:
    async with asyncio.timeout(SOON_S):
        return [await end.receive() for _ in range(count)]


async def test_messages_travel_both_ways_and_reach_every_process_of_the_other_side(
    bus: Callable[..., RedisEvents],
) -> None:
    gateways, workers = [bus("gateways"), bus("gateways")], [bus("workers"), bus("workers")]
    await connected(*gateways, *workers)
    workers[0].publish(Progress("g", 1, 16))
    workers[0].publish(Done("g", "t", "ready"))
    for gateway in gateways:
        assert await heard(gateway, 2) == [Progress("g", 1, 16), Done("g", "t", "ready")]
    gateways[1].publish(Cancel("g"))
    for worker in workers:
        assert await heard(worker) == [Cancel("g")]


async def test_nobody_hears_their_own_side_or_another_service(bus: Callable[..., RedisEvents]) -> None:
    gateway, worker, stranger = bus("gateways"), bus("workers"), bus("workers", "another")
    await connected(gateway, worker, stranger)
    stranger.publish(Ring("of another service"))
    gateway.publish(Ring("default"))
    assert await heard(worker) == [Ring("default")]
    worker.publish(Done("g", "t", "ready"))
    assert await heard(gateway) == [Done("g", "t", "ready")]


async def test_after_redis_died_both_sides_find_each_other_again(
    bus: Callable[..., RedisEvents], redis_server: RedisServer
) -> None:
    gateway, worker = bus("gateways"), bus("workers")
    await connected(gateway, worker)
    redis_server.kill()
    await until(lambda: not gateway.is_connected and not worker.is_connected)
    for _ in range(10_000):
        worker.publish(Progress("nobody hears it", 1, 2))
    redis_server.start()
    await until(lambda: gateway.is_connected and worker.is_connected)
    async with asyncio.timeout(SOON_S):
        while True:  # the other connection may need a moment more
            worker.publish(Done("g", "t", "ready"))
            try:
                async with asyncio.timeout(0.05):
                    if await gateway.receive() == Done("g", "t", "ready"):
                        return
            except TimeoutError:
                continue


async def test_junk_is_skipped(bus: Callable[..., RedisEvents], redis_server: RedisServer) -> None:
    gateway = bus("gateways")
    await connected(gateway)
    with redis_server.client() as client:
        client.publish("darkroom:events:gateways", b"junk")
        client.publish("darkroom:events:gateways", b"\xff")
        client.publish("darkroom:events:gateways", b'{"kind":"ring","pool":"a"}\n')
    assert await heard(gateway) == [Ring("a")]


async def test_it_starts_and_ends_without_redis() -> None:
    end = RedisEvents(RedisSettings(url="redis://127.0.0.1:1/0"), "gateways")
    await end.start()
    end.publish(Ring("lost, and nobody minds"))
    await asyncio.sleep(0)
    await end.close()
    assert not end.is_connected
