"""Whose turn it is, on both databases: bounds of waiting between tenants and between classes, with the time passed in."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from app.core import claims, fairness
from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.fairness import Lane
from app.core.ids import new_id
from tests.fixtures.accounts import EPOCH, NETWORK, POOL, insert_account, nano_spec

pytestmark = pytest.mark.anyio

LEASE_S = 3600.0
AGEING_S = 20.0
OTHER_NETWORK = "flux-2-dev"
TENANT_SHARE = 4.0


class Queue:
    """A pool's queue as gateways and a worker of one row at a time see it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names: dict[str, str] = {}
        self.accounts: dict[str, str] = {}
        self.seconds = 0.0

    @property
    def now(self):
        return EPOCH + timedelta(seconds=self.seconds)

    async def account(self, name: str) -> str:
        if name not in self.accounts:
            async with self.database.write() as session:
                self.accounts[name] = await insert_account(session, 10**9)
        return self.accounts[name]

    async def submit(
        self,
        name: str,
        count: int = 1,
        *,
        expected_s: float = 1.0,
        weight: float = 1.0,
        priority: int = 0,
        network: str = NETWORK,
    ) -> list[str]:
        """Rows of one tenant, as a submit makes them."""
        account_id = await self.account(name)
        made: list[str] = []
        async with self.database.write() as session:
            for _ in range(count):
                tags = await fairness.tags(session, Lane(POOL, priority, network), account_id, expected_s, weight)
                task = task_of(account_id, network, self.now)
                session.add(task)
                await session.flush()
                row = generation_of(task, expected_s, priority)
                row.flow, row.virtual_start, row.virtual_finish = account_id, tags.start, tags.finish
                row.ages_at = self.now + timedelta(seconds=AGEING_S) if priority else None
                session.add(row)
                await session.flush()
                self.names[row.id] = name
                made.append(row.id)
        return made

    async def claim(self, limit: int = 1, networks: Sequence[str] = (NETWORK,), ahead_of: claims.Place | None = None):
        async with self.database.write() as session:
            return await claims.claim(
                session, "w", POOL, networks, limit, self.now, LEASE_S, ahead_of, ageing_s=AGEING_S
            )

    async def served(self, count: int, *, step_s: float = 0.0, networks: Sequence[str] = (NETWORK,)) -> list[str]:
        """Whose rows one worker runs, one after the other."""
        order: list[str] = []
        for _ in range(count):
            for claim in await self.claim(networks=networks):
                order.append(self.names[claim.generation_id])
            self.seconds += step_s
        return order


def task_of(account_id: str, network: str, now: datetime) -> Task:
    return Task(
        id=new_id(),
        account_id=account_id,
        model=network,
        network=network,
        dialect="bfl",
        num_images=1,
        created_at=now,
        expires_at=now + timedelta(days=1),
        cost_micro=0,
        request={},
    )


def generation_of(task: Task, expected_s: float, priority: int) -> Generation:
    return Generation(
        id=new_id(),
        task_id=task.id,
        index=0,
        account_id=task.account_id,
        spec=nano_spec().to_json(),
        network=task.network,
        pool=POOL,
        seed=0,
        width=128,
        height=128,
        priority=priority,
        expected_s=expected_s,
        queued_at=task.created_at,
        deadline_at=task.expires_at,
        price_micro=0,
        price_book_version="test",
        price_inputs={},
    )


ONCE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""Arithmetic that the other tests have shown to be the same on both."""


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database)


async def test_a_tenant_with_200_queued_jobs_does_not_delay_anothers_single_job(queue: Queue) -> None:
    await queue.submit("flood", 200)
    assert await queue.served(3) == ["flood"] * 3
    on_the_device = await queue.claim(8)
    await queue.submit("single", expected_s=30.0)
    assert await queue.served(2) == ["single", "flood"]
    assert {queue.names[claim.generation_id] for claim in on_the_device} == {"flood"}


@ONCE
async def test_tenants_share_in_proportion_to_their_weights(queue: Queue) -> None:
    await queue.submit("heavy", 20, weight=3.0)
    await queue.submit("light", 20, weight=1.0)
    order = await queue.served(20)
    for end in range(4, 21, 4):
        assert abs(order[:end].count("heavy") - 0.75 * end) <= 1


@ONCE
async def test_what_is_shared_is_work_and_not_rows(queue: Queue) -> None:
    await queue.submit("long", 6, expected_s=5.0)
    await queue.submit("short", 30, expected_s=1.0)
    order = await queue.served(24)
    assert abs(5 * order.count("long") - order.count("short")) <= 10


@ONCE
async def test_tenants_that_always_come_back_do_not_starve_one_that_waits(queue: Queue) -> None:
    """Each sends its next job when its last one has begun; a queue that forgot what they had would serve nobody else."""
    await queue.submit("patient", 5)
    order: list[str] = []
    for turn in range(20):
        for name in ("a", "b"):
            if turn == 0 or name in order[-1:]:
                await queue.submit(name)
        order += await queue.served(1)
    assert order.count("patient") == 5


@ONCE
async def test_an_idle_tenant_saves_up_nothing_and_a_cancelled_queue_costs_nothing(queue: Queue) -> None:
    await queue.submit("busy", 10)
    assert await queue.served(10) == ["busy"] * 10
    await queue.submit("fresh", 10)
    await queue.submit("busy", 2)
    assert (await queue.served(4)).count("busy") >= 1
    regretful = await queue.submit("regretful", 20)
    async with queue.database.write() as session:
        for generation_id in regretful:
            row = await session.get_one(Generation, generation_id)
            await claims.request_cancel(session, row.task_id, queue.now)
    await queue.submit("regretful")
    assert "regretful" in await queue.served(2)


@ONCE
async def test_a_network_whose_workers_are_slow_keeps_its_own_time(queue: Queue) -> None:
    await queue.submit("flood", 20, network=OTHER_NETWORK)
    await queue.submit("ahead", 10)
    assert await queue.served(10) == ["ahead"] * 10
    await queue.submit("single", network=OTHER_NETWORK)
    assert "single" in await queue.served(2, networks=[OTHER_NETWORK])


@ONCE
async def test_a_row_let_in_before_its_turn_does_not_move_the_time_of_others(queue: Queue) -> None:
    await queue.submit("flood", 10, expected_s=10.0)
    await queue.submit("flood", expected_s=0.5)
    assert len(await queue.claim(ahead_of=(0, 5.0))) == 1
    await queue.submit("single", expected_s=10.0, network=OTHER_NETWORK)
    assert "single" in await queue.served(2, networks=[NETWORK, OTHER_NETWORK])


async def test_an_opening_goes_to_the_tenant_whose_turn_it_is(queue: Queue) -> None:
    await queue.submit("flood", 20, expected_s=0.5)
    (first,) = await queue.claim(ahead_of=(0, 30.0))
    await queue.submit("single", expected_s=1.0)
    (second,) = await queue.claim(ahead_of=(0, 30.0))
    assert [queue.names[one.generation_id] for one in (first, second)] == ["flood", "single"]


@ONCE
async def test_a_lower_class_waits_while_a_higher_one_has_work_until_it_is_of_age(queue: Queue) -> None:
    await queue.submit("free", priority=1)
    await queue.submit("paid", 3)
    assert await queue.served(2) == ["paid", "paid"]
    queue.seconds = AGEING_S
    await queue.submit("paid", 30)
    assert "free" in await queue.served(int(TENANT_SHARE))


@pytest.mark.parametrize(("priority", "num_moves"), [(1, 2), (2, 4)])
async def test_an_endless_flood_of_new_paying_tenants_starves_no_free_job(
    queue: Queue, priority: int, num_moves: int
) -> None:
    """Each second one job ends and a tenant never seen before comes, whose tag is the present: virtual time stands still."""
    await queue.submit("paid 0", 3)
    await queue.submit("free", 2, priority=priority)
    order: list[str] = []
    bound_s = int(num_moves * AGEING_S + 4)
    for turn in range(1, bound_s + 1):
        await queue.submit(f"paid {turn}")
        order += await queue.served(1, step_s=1.0)
    assert order.count("free") == 2
    assert order.index("free") >= AGEING_S


@ONCE
async def test_a_flood_of_free_jobs_gains_one_tenants_share(queue: Queue) -> None:
    for number in range(5):
        await queue.submit(f"free {number}", 4, priority=1)
    queue.seconds = 10 * AGEING_S
    await queue.submit("paid", 25, weight=4.0)
    order = await queue.served(25)
    free = sum(name.startswith("free") for name in order)
    assert 3 <= free <= 6
    assert len({name for name in order if name.startswith("free")}) == free


@ONCE
async def test_an_empty_top_class_leaves_everything_to_the_lower_ones(queue: Queue) -> None:
    await queue.submit("anonymous", 2, priority=2)
    await queue.submit("free", 2, priority=1)
    assert await queue.served(4) == ["free", "free", "anonymous", "anonymous"]
