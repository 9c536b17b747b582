"""Rings over a real Redis and RQ's stock worker, in this process's main thread: heard, bounded, lost without harm."""

import json
import os
import signal
import threading
import time
import zlib
from collections.abc import Iterator

import pytest

from app.core.config import RedisSettings
from app.core.dispatch.rq import MAX_TICKETS, RqDispatcher, send_tickets, ticket_queue
from tests.fixtures.redis_server import RedisServer
from workers.tickets import ring_for_tickets


@pytest.fixture
def settings(redis_server: RedisServer) -> RedisSettings:
    return RedisSettings(url=redis_server.url)


@pytest.fixture
def dispatcher(settings: RedisSettings) -> Iterator[RqDispatcher]:
    dispatcher = RqDispatcher(settings)
    dispatcher.start()
    yield dispatcher
    dispatcher.close()


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """RQ takes the signals; the tests want theirs back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Bell:
    """Counts, and sends this process SIGTERM when it has heard enough."""

    def __init__(self, enough: int) -> None:
        self.num_rings = 0
        self._enough = enough

    def __call__(self) -> None:
        self.num_rings += 1
        if self.num_rings == self._enough:
            os.kill(os.getpid(), signal.SIGTERM)


def gives_up(_: float) -> bool:
    return True


def sleeps(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def test_every_ring_is_heard_until_a_signal_and_leaves_nothing_behind(
    settings: RedisSettings, dispatcher: RqDispatcher, redis_server: RedisServer
) -> None:
    bell = Bell(enough=20)
    for _ in range(20):
        dispatcher.ring("gpu")
    ring_for_tickets(settings, "gpu", bell, gives_up)
    assert bell.num_rings == 20
    with redis_server.client() as client:
        assert list(client.scan_iter("rq:job:*")) == []
        assert client.llen("rq:queue:darkroom-gpu") == 0


def test_pools_and_services_have_queues_of_their_own(
    settings: RedisSettings, dispatcher: RqDispatcher, redis_server: RedisServer
) -> None:
    dispatcher.ring("a")
    dispatcher.ring("b")
    dispatcher.close()
    with redis_server.client() as client:
        assert [ticket_queue(client, settings.prefix, pool).count for pool in ("a", "b", "c")] == [1, 1, 0]
        assert ticket_queue(client, "another", "a").count == 0


def test_tickets_that_nobody_takes_do_not_pile_up(settings: RedisSettings, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        queue = ticket_queue(client, settings.prefix, "gpu")
        for _ in range(3):
            send_tickets(queue, MAX_TICKETS - 56)
        assert queue.count == MAX_TICKETS
        assert all(0 < client.ttl(key) <= 60 for key in client.scan_iter("rq:job:*"))


def test_a_ticket_names_no_job_and_is_no_pickle(settings: RedisSettings, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        queue = ticket_queue(client, settings.prefix, "gpu")
        send_tickets(queue, 1)
        (key,) = client.scan_iter("rq:job:*")
        data = client.hget(key, "data")
    assert isinstance(data, bytes)
    assert json.loads(zlib.decompress(data)) == ["workers.tickets.ring", None, [], {}]


def test_a_gateway_neither_waits_nor_fails_while_redis_is_away() -> None:
    dispatcher = RqDispatcher(RedisSettings(url="redis://127.0.0.1:1/0"))
    dispatcher.start()
    for _ in range(5000):
        dispatcher.ring("gpu")
    dispatcher.close()


def test_rqs_worker_goes_on_after_redis_died_with_all_its_tickets(
    settings: RedisSettings, dispatcher: RqDispatcher, redis_server: RedisServer
) -> None:
    bell = Bell(enough=10**9)

    def until_heard(num_rings: int) -> None:
        while bell.num_rings < num_rings:
            dispatcher.ring("gpu")
            time.sleep(0.01)

    def mishaps() -> None:
        until_heard(3)
        redis_server.wipe()
        until_heard(6)
        redis_server.kill()
        redis_server.start()
        until_heard(bell.num_rings + 3)
        os.kill(os.getpid(), signal.SIGTERM)

    other = threading.Thread(target=mishaps)
    other.start()
    ring_for_tickets(settings, "gpu", bell, sleeps)
    other.join()
    assert bell.num_rings >= 9


def test_a_worker_that_finds_no_redis_waits_between_its_tries() -> None:
    waited: list[float] = []

    def pause(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) == 6

    ring_for_tickets(RedisSettings(url="redis://127.0.0.1:1/0"), "gpu", Bell(1), pause)
    assert waited == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
