"""The cell rate algorithm against its closed form: a burst, then the rate, whatever the order of arrivals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.gcra import SLACK, BurstLimit, MemoryBurstStore, judge

pytestmark = pytest.mark.anyio

LIMIT = BurstLimit("burst", 5, 2.0)


async def passed(store: MemoryBurstStore, now_s: float, count: int, limit: BurstLimit = LIMIT) -> int:
    return sum([(await store.take(limit, "ann", now_s)).passes for _ in range(count)])


@pytest.mark.parametrize(("burst", "per_s"), [(1, 1.0), (5, 2.0), (100, 20.0), (1200, 200.0), (7, 0.3)])
@pytest.mark.parametrize("now_s", [0.0, 1e6])
async def test_exactly_a_burst_passes_at_once(burst: int, per_s: float, now_s: float) -> None:
    assert await passed(MemoryBurstStore(), now_s, 2 * burst, BurstLimit("burst", burst, per_s)) == burst


async def test_from_then_on_requests_pass_at_the_rate() -> None:
    store = MemoryBurstStore()
    await passed(store, 0.0, 5)
    refused = await store.take(LIMIT, "ann", 0.0)
    assert (refused.passes, refused.remaining, refused.retry_s) == (False, 0, pytest.approx(0.5))
    assert await passed(store, 0.25, 1) == 0
    assert await passed(store, 0.5, 2) == 1
    assert await passed(store, 10.0, 9) == 5


async def test_what_remains_is_what_would_pass() -> None:
    store = MemoryBurstStore()
    first = await store.take(LIMIT, "ann", 0.0)
    assert (first.remaining, first.whole_s) == (4, pytest.approx(0.5))
    assert await passed(store, 0.0, 9) == first.remaining


async def test_a_request_that_is_given_back_was_never_counted() -> None:
    store = MemoryBurstStore()
    for _ in range(20):
        assert await passed(store, 0.0, 1) == 1
        await store.give_back(LIMIT, "ann")
    assert await passed(store, 0.0, 9) == 5


async def test_callers_and_limits_do_not_share() -> None:
    store = MemoryBurstStore()
    await passed(store, 0.0, 5)
    assert (await store.take(LIMIT, "bob", 0.0)).passes
    assert (await store.take(BurstLimit("polls", 5, 2.0), "ann", 0.0)).passes


async def test_callers_whose_burst_is_whole_again_are_forgotten() -> None:
    store = MemoryBurstStore(sweep_at=3)
    for number in range(3):
        await store.take(LIMIT, str(number), 0.0)
    await store.take(LIMIT, "late", 100.0)
    assert len(store._arrivals_s) == 1  # pyright: ignore[reportPrivateUsage] (what is kept is what this is about)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_no_window_lets_more_than_the_burst_and_the_rate_through(waits_s: list[float]) -> None:
    now_s, arrival_s, passed_at_s = 0.0, 0.0, list[float]()
    for wait_s in waits_s:
        now_s += wait_s / 10
        verdict, arrival_s = judge(LIMIT, arrival_s, now_s)
        passed_at_s += [now_s] if verdict.passes else []
    for first, begin_s in enumerate(passed_at_s):
        for last in range(first, len(passed_at_s)):
            assert last - first + 1 <= LIMIT.burst + (passed_at_s[last] - begin_s) * LIMIT.per_s + SLACK
