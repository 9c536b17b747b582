"""A state machine that does what gateways, workers, zombies and crashes do, in any order, beside a model in a dict.

After every step the rows and the balances equal the model's; at the end everything is past its deadline, nothing is held, and the
audit passes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import claims, ledger
from app.core.claims import Claim, Delivered, Failed
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.generation import Generation
from app.core.errors import InsufficientCredits
from app.core.ids import new_id, result_key
from tests.fixtures.accounts import DEADLINE_S, EPOCH, NETWORK, insert_account, insert_task

T = TypeVar("T")

CREDITS = 20
LEASE_S = 12.0
MAX_FAILURES = 3

SUITE = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
NUM_BATCHES = 20
PROVE = settings(SUITE, max_examples=500 // NUM_BATCHES, derandomize=False, print_blob=True)
"""One of the batches that make 500 examples: the audit at the end of each example reads the whole database, which so stays small."""


class Crash(Exception):
    """The process dies here."""


@dataclass
class Expected:
    """What the model knows of a generation."""

    task: int
    price: int
    priority: int
    queued_at: datetime
    state: str = "queued"
    attempt: int = 0
    failures: int = 0
    lease_until: datetime = EPOCH
    stepped: bool = False
    cancelled: bool = False

    @property
    def deadline_at(self) -> datetime:
        return self.queued_at + timedelta(seconds=DEADLINE_S)


class ClaimsMachine(RuleBasedStateMachine):
    """One account, one pool, any number of workers, of which most are zombies."""

    def __init__(self, database: Database, runner: asyncio.Runner) -> None:
        super().__init__()
        self.runner = runner
        self.database = database
        self.pool = new_id()
        self.num_ids = 0
        self.now = EPOCH
        self.rows: dict[str, Expected] = {}
        self.tasks: list[list[str]] = []
        self.claims: list[Claim] = []
        self.posted = CREDITS
        self.account_id = self.write(lambda session: insert_account(session, CREDITS, self.now))

    def write(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """One committed transaction."""

        async def run() -> T:
            async with self.database.write() as session:
                return await work(session)

        return self.runner.run(run())

    def next_id(self) -> str:
        """Unique, and in the same order in every run of an example: the claim's last word on order is the id."""
        self.num_ids += 1
        return f"{self.pool[:24]}-{self.num_ids:06}"

    @property
    def held(self) -> int:
        return sum(row.price for row in self.rows.values() if row.state in ("queued", "running"))

    def owned(self, claim: Claim) -> Expected | None:
        row = self.rows[claim.generation_id]
        return row if row.state == "running" and row.attempt == claim.attempt else None

    def chosen(self, data: st.DataObject) -> Claim:
        return data.draw(st.sampled_from(self.claims[-6:]))

    @rule(price=st.integers(0, 8), num_images=st.integers(1, 3), priority=st.integers(0, 1))
    def submit(self, price: int, num_images: int, priority: int) -> None:
        work = self._task(price, num_images, priority)
        if price * num_images > self.posted - self.held:
            with pytest.raises(InsufficientCredits):
                self.write(work)
            return
        ids = self.write(work)
        self.rows |= {one: Expected(len(self.tasks), price, priority, self.now) for one in ids}
        self.tasks.append(ids)

    @rule(seconds=st.sampled_from([1.0, 5.0, LEASE_S, DEADLINE_S / 4]))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        got = self.write(lambda s: claims.claim(s, "worker", self.pool, [NETWORK], limit, self.now, LEASE_S))
        waiting = [
            (row.priority, row.queued_at, one)
            for one, row in self.rows.items()
            if row.state == "queued" and not row.cancelled and row.deadline_at > self.now
        ]
        assert [claim.generation_id for claim in got] == [one for _, _, one in sorted(waiting)[:limit]]
        for claim in got:
            row = self.rows[claim.generation_id]
            row.state, row.stepped = "running", False
            row.attempt += 1
            row.lease_until = self.now + timedelta(seconds=LEASE_S)
            assert claim.attempt == row.attempt
        self.claims += got

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def first_step(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        self.write(lambda session: claims.mark_first_step(session, [claim.held], self.now))
        if row := self.owned(claim):
            row.stepped = True

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        result = self.write(lambda session: claims.renew(session, [claim.held], self.now, LEASE_S))
        row = self.owned(claim)
        assert bool(result.lost) == (row is None)
        assert bool(result.cancelled) == (row is not None and row.cancelled)
        if row is not None:
            row.lease_until = self.now + timedelta(seconds=LEASE_S)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        self.write(lambda session: claims.hand_back(session, [claim.held], self.now))
        if row := self.owned(claim):
            row.state = "queued"

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        row = self.owned(claim)
        won = self.write(lambda session: self._deliver(session, claim))
        stored = self.rows[claim.generation_id]
        assert won == (row is not None or (stored.state == "ready" and stored.attempt == claim.attempt))
        if row is not None:
            row.state = "ready"
            self.posted -= row.price

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), retryable=st.booleans())
    def fail(self, data: st.DataObject, retryable: bool) -> None:
        claim = self.chosen(data)
        failed = Failed("broken", "broken", retryable)
        row = self.owned(claim)
        won = self.write(lambda s: claims.settle_failed(s, *claim.held, failed, self.now, MAX_FAILURES))
        assert won == (row is not None)
        if row is not None:
            row.failures += 1
            row.state = "queued" if retryable and row.failures < MAX_FAILURES else "error"

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def moderate(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        failed = Failed("moderated", "moderated", False, "content_moderated")
        row = self.owned(claim)
        won = self.write(lambda s: claims.settle_failed(s, *claim.held, failed, self.now, MAX_FAILURES))
        assert won == (row is not None)
        if row is not None:
            row.failures += 1
            row.state = "content_moderated"

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        row = self.owned(claim)
        won = self.write(lambda session: claims.settle_cancelled(session, *claim.held, self.now))
        assert won == (row is not None)
        if row is not None:
            row.state = "cancelled"

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ids = data.draw(st.sampled_from(self.tasks[-4:]))

        async def work(session: AsyncSession) -> None:
            generation = await session.get_one(Generation, ids[0])
            await claims.request_cancel(session, generation.task_id, self.now)

        self.write(work)
        for row in (self.rows[one] for one in ids):
            if row.state == "queued":
                row.state = "cancelled"
            elif row.state == "running":
                row.cancelled = True

    @rule()
    def sweep(self) -> None:
        self.write(lambda session: claims.sweep(session, self.now, MAX_FAILURES))
        for row in self.rows.values():
            self._expect_sweep(row)

    @precondition(lambda self: any(self.owned(claim) for claim in self.claims))
    @rule()
    def make_zombies(self) -> None:
        """Every worker freezes for longer than its lease, and others take over."""
        self.wait(LEASE_S)
        self.sweep()
        self.claim(3)

    @rule(amount=st.integers(-5, 5))
    def adjust(self, amount: int) -> None:
        def work(session: AsyncSession) -> Awaitable[None]:
            return ledger.credit(session, self.account_id, amount, "adjust", None, "admin", "why", self.now)

        if self.posted - self.held + amount < 0:
            with pytest.raises(InsufficientCredits):
                self.write(work)
            return
        self.write(work)
        self.posted += amount

    @precondition(lambda self: any(self.owned(claim) for claim in self.claims))
    @rule(data=st.data(), survived=st.integers(1, 6))
    def crash_while_delivering(self, data: st.DataObject, survived: int) -> None:
        """Die after the n-th statement of the settle, or just before its commit: nothing of it may remain."""
        claim = data.draw(st.sampled_from([claim for claim in self.claims if self.owned(claim)]))
        self._crash_after(survived, lambda session: self._deliver(session, claim))

    @rule(survived=st.integers(1, 9))
    def crash_while_submitting(self, survived: int) -> None:
        if self.posted - self.held >= 1:
            self._crash_after(survived, self._task(price=1))

    @invariant()
    def the_database_equals_the_model(self) -> None:
        async def read() -> tuple[Account, list[Generation]]:
            async with self.database.read() as session:
                account = await session.get_one(Account, self.account_id)
                query = select(Generation).where(Generation.account_id == self.account_id)
                return account, list((await session.scalars(query)).all())

        account, stored = self.runner.run(read())
        assert (account.posted_micro, account.held_micro) == (self.posted, self.held)
        assert {row.id: (row.state, row.attempt, row.failures) for row in stored} == {
            one: (row.state, row.attempt, row.failures) for one, row in self.rows.items()
        }

    def teardown(self) -> None:
        self.now += timedelta(seconds=DEADLINE_S)
        self.sweep()
        assert self.held == 0
        self.the_database_equals_the_model()
        assert self.runner.run(self._verify()) == []

    async def _verify(self) -> list[ledger.Breach]:
        async with self.database.read() as session:
            return await ledger.verify(session)

    def _task(
        self, price: int, num_images: int = 1, priority: int = 0
    ) -> Callable[[AsyncSession], Awaitable[list[str]]]:
        return lambda session: insert_task(
            session,
            self.account_id,
            now=self.now,
            num_images=num_images,
            price_micro=price,
            priority=priority,
            pool=self.pool,
            make_id=self.next_id,
        )

    def _deliver(self, session: AsyncSession, claim: Claim) -> Awaitable[bool]:
        key = result_key(claim.generation_id, claim.attempt, "png")
        picture = Delivered(key, "image/png", "0" * 64, 128, 128, 0, 1, self.now)
        return claims.settle_delivered(session, *claim.held, picture, self.now)

    def _expect_sweep(self, row: Expected) -> None:
        is_lost = row.state == "running" and row.lease_until <= self.now
        if row.state in ("queued", "running") and row.deadline_at <= self.now:
            row.state = "error"
        elif row.cancelled and (row.state == "queued" or is_lost):
            row.state = "cancelled"
        elif is_lost:
            row.failures += row.stepped
            row.state = "error" if row.stepped and row.failures >= MAX_FAILURES else "queued"

    def _crash_after(self, survived: int, work: Callable[[AsyncSession], Awaitable[object]]) -> None:
        engine = self.database.engine.sync_engine
        num_left = survived

        def count(*_: object) -> None:
            nonlocal num_left
            num_left -= 1
            if num_left < 0:
                raise Crash

        async def die_before_the_commit(session: AsyncSession) -> None:
            await work(session)
            raise Crash

        event.listen(engine, "before_cursor_execute", count)
        try:
            with pytest.raises(Crash):
                self.write(die_before_the_commit)
        finally:
            event.remove(engine, "before_cursor_execute", count)


def run(url: str, profile: settings) -> None:
    """All examples share the database; each has an account and a pool of its own."""
    database = Database.open(url)
    with asyncio.Runner() as runner:

        class Machine(ClaimsMachine):
            def __init__(self) -> None:
                super().__init__(database, runner)

        try:
            run_state_machine_as_test(Machine, settings=profile)
        finally:
            runner.run(database.close())


def test_any_order_of_events_keeps_rows_and_money_right(database_url: str) -> None:
    run(database_url, SUITE)


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("batch", range(NUM_BATCHES))
def test_any_order_of_events_in_five_hundred_examples(database_url: str, batch: int) -> None:
    run(database_url, PROVE)
