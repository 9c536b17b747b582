"""One burst for all gateways, over a real Redis: the same verdicts as in memory, once for everybody, and alone while it is away."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from app.core.config import RedisSettings
from app.core.redis import FIRST_DELAY_S, LONGEST_DELAY_S
from app.limits.gcra import BurstLimit, BurstStore, MemoryBurstStore
from app.limits.redis import MICRO, RedisBurstStore
from tests.fixtures.api import RunApi
from tests.fixtures.redis_server import RedisServer

pytestmark = pytest.mark.anyio

SLOW = BurstLimit("burst", 5, 0.001)
"""Redis's clock runs by itself: at a request in a thousand seconds nothing comes back during a test."""
KEY = "darkroom:burst:burst:ann"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer than customers are kept waiting."""
    monkeypatch.setattr("app.limits.redis.ANSWER_WITHIN_S", 20.0)


@pytest.fixture
async def gateway(redis_server: RedisServer) -> AsyncIterator[Callable[..., RedisBurstStore]]:
    """Makes the stores of gateways that share one Redis, and closes them."""
    opened: list[RedisBurstStore] = []

    def make(prefix: str = "darkroom") -> RedisBurstStore:
        opened.append(RedisBurstStore(RedisSettings(url=redis_server.url, prefix=prefix)))
        return opened[-1]

    yield make
    for store in opened:
        await store.close()


async def passes(store: BurstStore, count: int, limit: BurstLimit = SLOW, now_s: float = 0.0) -> int:
    return sum([(await store.take(limit, "ann", now_s)).passes for _ in range(count)])


async def test_verdicts_are_those_of_one_gateways_own_count(gateway: Callable[..., RedisBurstStore]) -> None:
    shared, own = gateway(), MemoryBurstStore()
    for _ in range(8):
        one, other = await shared.take(SLOW, "ann", 0.0), await own.take(SLOW, "ann", 0.0)
        assert (one.passes, one.remaining) == (other.passes, other.remaining)
        assert one.retry_s == pytest.approx(other.retry_s, abs=30)
        assert one.whole_s == pytest.approx(other.whole_s, abs=30)


@pytest.mark.parametrize("burst", [1, 100, 1200])
async def test_gateways_at_the_same_time_let_one_burst_through(
    gateway: Callable[..., RedisBurstStore], burst: int
) -> None:
    limit, gateways = BurstLimit("burst", burst, 0.001), [gateway(), gateway()]
    count = burst // 2 + 10
    assert sum(await asyncio.gather(*(passes(one, count, limit) for one in gateways))) == burst


async def test_callers_limits_and_services_have_bursts_of_their_own(gateway: Callable[..., RedisBurstStore]) -> None:
    store = gateway()
    assert await passes(store, 9) == 5
    assert (await store.take(SLOW, "bob", 0.0)).passes
    assert (await store.take(BurstLimit("polls", 5, 0.001), "ann", 0.0)).passes
    assert await passes(gateway("another"), 9) == 5


async def test_time_that_passes_gives_requests_back(
    gateway: Callable[..., RedisBurstStore], redis_server: RedisServer
) -> None:
    store = gateway()
    assert await passes(store, 9) == 5
    with redis_server.client() as client:  # as if two intervals had gone by
        client.set(KEY, float(client.get(KEY) or 0) - 2 * SLOW.interval_s * MICRO)
    assert await passes(store, 9) == 2


async def test_what_is_given_back_may_be_taken_again_and_no_more(gateway: Callable[..., RedisBurstStore]) -> None:
    store = gateway()
    await store.give_back(SLOW, "ann")
    assert await passes(store, 9) == 5
    await store.give_back(SLOW, "ann")
    assert await passes(store, 9) == 1


async def test_moments_are_forgotten_when_the_burst_is_whole_again(
    gateway: Callable[..., RedisBurstStore], redis_server: RedisServer
) -> None:
    await passes(gateway(), 2)
    with redis_server.client() as client:
        assert client.pttl(KEY) == pytest.approx(2 * SLOW.interval_s * 1000, abs=30_000)


async def test_a_wiped_redis_forgives(gateway: Callable[..., RedisBurstStore], redis_server: RedisServer) -> None:
    store = gateway()
    await passes(store, 9)
    redis_server.wipe()
    with redis_server.client() as client:
        client.script_flush()
    assert await passes(store, 9) == 5


async def test_without_redis_each_gateway_counts_alone_and_together_again_when_it_is_back(
    gateway: Callable[..., RedisBurstStore], redis_server: RedisServer
) -> None:
    one, other = gateway(), gateway()
    assert await passes(one, 2) == 2
    redis_server.kill()
    assert await passes(one, 9) == await passes(other, 9) == 5

    redis_server.start()
    # Until it is tried again, both go on by themselves.
    assert await passes(one, 9, now_s=FIRST_DELAY_S / 2) == 0
    assert await passes(one, 9, now_s=LONGEST_DELAY_S) + await passes(other, 9, now_s=LONGEST_DELAY_S) == 5


async def test_two_gateways_count_one_customers_submits_together_and_reads_each(
    run_api: RunApi, redis_server: RedisServer
) -> None:
    limits = {"burst": 4, "submits_per_s": 0.001, "poll_burst": 4, "polls_per_s": 0.001}
    options = {"redis": {"url": redis_server.url}, "limits": limits}
    headers = {"x-key": "k"}
    estimate = {"model": "flux-nano", "prompt": "a red apple"}
    async with run_api(**options) as one, run_api(**options) as other:
        gateways = (one, other) * 3
        estimates = [await api.http.post("/v1/pricing/estimate", json=estimate, headers=headers) for api in gateways]
        reads = [await api.http.get("/v1/pricing", headers=headers) for api in (*gateways, one, one)]
    assert [answer.status_code for answer in estimates] == [200] * 4 + [429] * 2
    assert [answer.status_code for answer in reads] == [200] * 7 + [429]
