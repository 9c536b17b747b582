"""Events over a real Unix socket: both ways, through restarts, past peers that misbehave."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from app.core.config import Settings
from app.core.events.base import Cancel, Done, Progress, Ring
from app.core.events.local import MAX_PATH_BYTES, LocalEventClient, LocalEventServer, events_socket_path

pytestmark = pytest.mark.anyio

SOON_S = 5.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return events_socket_path(Settings(data_dir=tmp_path))


@pytest.fixture
async def server(path: Path) -> AsyncIterator[LocalEventServer]:
    server = LocalEventServer(path)
    await server.start()
    yield server
    await server.close()


async def connected(path: Path) -> LocalEventClient:
    client = LocalEventClient(path, reconnect_s=0.005)
    await client.start()
    await until(lambda: client.is_connected)
    return client


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


def leave_behind(path: Path) -> None:
    path.touch()


def mode(path: Path) -> int:
    return path.stat().st_mode if path.exists() else 0


async def test_messages_travel_both_ways(server: LocalEventServer, path: Path) -> None:
    client = await connected(path)
    client.publish(Progress("g", 1, 16))
    client.publish(Done("g", "t", "ready"))
    async with asyncio.timeout(SOON_S):
        assert [await server.receive(), await server.receive()] == [Progress("g", 1, 16), Done("g", "t", "ready")]
        server.publish(Ring("default"))
        assert await client.receive() == Ring("default")
    await client.close()


async def test_every_worker_hears_the_gateway(server: LocalEventServer, path: Path) -> None:
    clients = [await connected(path), await connected(path)]
    for client in clients:  # a word from each, so that both are known to be accepted
        client.publish(Ring("hello"))
    async with asyncio.timeout(SOON_S):
        await server.receive()
        await server.receive()
        server.publish(Cancel("g"))
        for client in clients:
            assert await client.receive() == Cancel("g")
            await client.close()


async def test_a_worker_finds_a_gateway_that_starts_later_or_again(path: Path) -> None:
    client = LocalEventClient(path, reconnect_s=0.005)
    await client.start()
    client.publish(Ring("lost, and nobody minds"))
    for _ in range(2):
        server = LocalEventServer(path)
        await server.start()
        await until(lambda: client.is_connected)
        client.publish(Ring("here"))
        async with asyncio.timeout(SOON_S):
            assert await server.receive() == Ring("here")
        await server.close()
        await until(lambda: not client.is_connected)
    await client.close()


async def test_a_dead_gateways_socket_is_replaced_and_a_closed_ones_removed(path: Path) -> None:
    leave_behind(path)
    server = LocalEventServer(path)
    await server.start()
    assert stat.S_ISSOCK(mode(path))
    assert stat.S_IMODE(mode(path)) == 0o600
    await server.close()
    assert mode(path) == 0


async def test_an_older_gateway_that_closes_leaves_the_newer_ones_socket(path: Path) -> None:
    older, newer = LocalEventServer(path), LocalEventServer(path)
    await older.start()
    await newer.start()
    await older.close()
    client = await connected(path)
    await client.close()
    await newer.close()


async def test_junk_is_skipped_and_an_endless_line_costs_the_connection(server: LocalEventServer, path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'junk\n{"kind":"ring","pool":"a"}\n')
    async with asyncio.timeout(SOON_S):
        assert await server.receive() == Ring("a")
        writer.write(b"x" * (1 << 18))
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_a_peer_that_does_not_read_delays_nobody(server: LocalEventServer, path: Path) -> None:
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"kind":"ring","pool":"a"}\n')
    async with asyncio.timeout(SOON_S):
        await server.receive()
        for _ in range(20_000):
            server.publish(Ring("x" * 200))
    writer.close()


def test_a_long_data_directory_gets_a_short_socket(tmp_path: Path) -> None:
    long = tmp_path / ("d" * 90)
    path = events_socket_path(Settings(data_dir=long))
    assert len(str(path).encode()) <= MAX_PATH_BYTES
    assert path == events_socket_path(Settings(data_dir=long))
    assert path != events_socket_path(Settings(data_dir=tmp_path / ("e" * 90)))
    assert events_socket_path(Settings(data_dir=Path("/d"))) == Path("/d/events.sock")
