"""A state machine that does what gateways, workers, zombies and crashes do, in any order, beside a model in plain Python.

Submits go the gateway's own way: idempotency, price, admission with a key's spending limit, reserve, insert. After every step
the rows, the balances, each grant, the key and the sums of all entries equal the model's; at the end of each example everything
is past its deadline and nothing is held, and at the end of all of them the audit passes.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.service import create_key, look_up, rotate_key
from app.core import claims, ledger
from app.core.catalog import Catalog
from app.core.claims import Claim, Delivered, Failed
from app.core.clock import ManualClock
from app.core.config import Settings
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey
from app.core.db.tables.ledger import CreditKind
from app.core.db.tables.worker import Registration
from app.core.errors import IdempotencyMismatch, InsufficientCredits, ServiceError, SpendingLimitReached
from app.core.events.local import LocalEventServer
from app.core.ids import new_id, result_key
from app.core.secret_file import resolve_secrets
from app.core.storage.memory import MemoryObjectStore
from app.dependencies import Gateway
from app.egress.pictures import fetch_nothing
from app.generations import idempotency
from app.generations.idempotency import Answer, Retryable
from app.generations.service import Order, Submitted, submit
from app.metering.price_book import PriceBook
from app.metering.rules import ByMegapixel, Flat
from app.moderation.keywords import KeywordPolicy
from app.moderation.opening import InTurn
from tests.app.core.money_model import Model, ModelAnswer, ModelRow
from tests.fixtures.accounts import nano_spec

T = TypeVar("T")

CREDITS = 20
SPENDING_LIMIT = 30
LEASE_S = 12.0
DEADLINE_S = 1800.0
RETRY_S = 600.0
OVERLAP_S = 300.0
MAX_FAILURES = 3
UNIT = 64
BOOK = PriceBook("machine", {"priced": ByMegapixel(1, 1, 0, megapixel=UNIT * UNIT), "gratis": Flat(0)})
"""A picture of n x 1 units costs n micro-credits."""

SUITE = settings(
    max_examples=100,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
NUM_BATCHES = 5
PROVE = settings(SUITE, max_examples=500 // NUM_BATCHES, stateful_step_count=20, derandomize=False, print_blob=True)
"""One of the batches that make 500 examples, each with a database of its own."""


@dataclass
class Stored:
    """What the database says of one account: of its rows (state, attempt, failures) and their transactions, and of its money."""

    rows: dict[str, tuple[str, int, int]] = field(default_factory=dict[str, tuple[str, int, int]])
    moves: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """How often each row has reserved and settled."""
    left: dict[int, int] = field(default_factory=dict[int, int])
    """By grant."""
    entries: Counter[str] = field(default_factory=Counter[str])
    """Sums by the last word of a ledger account's name."""
    available: dict[int, int] = field(default_factory=dict[int, int])
    """Sums of entries, by grant."""
    account: tuple[int, int] = 0, 0
    spent: int = 0

    def add(self, kind: str, name: str, state: str, one: int, other: int) -> None:
        match kind:
            case "generation":
                self.rows[name] = (state, one, other)
            case "moves":
                self.moves[name] = (one, other)
            case "grant":
                self.left[one] = other
            case "entries":
                self.entries[name.rsplit(":")[-1]] += other
                if name.endswith("available"):
                    self.available[one] = other
            case "account":
                self.account = (one, other)
            case _:
                self.spent = one


LOOK = """
SELECT 'generation', id, state, attempt, failures FROM generation WHERE account_id = '{0}'
UNION ALL SELECT 'grant', '', '', id, remaining_micro FROM credit_grant WHERE account_id = '{0}'
UNION ALL SELECT 'account', '', '', posted_micro, held_micro FROM account WHERE id = '{0}'
UNION ALL SELECT 'moves', generation_id, '', sum(CASE WHEN kind = 'reserve' THEN 1 ELSE 0 END),
    sum(CASE WHEN kind = 'settle' THEN 1 ELSE 0 END)
    FROM ledger_transaction WHERE account_id = '{0}' AND generation_id IS NOT NULL GROUP BY generation_id
UNION ALL SELECT 'entries', ledger_account, '', grant_id, CAST(sum(amount_micro) AS bigint)
    FROM ledger_entry JOIN ledger_transaction ON ledger_transaction.id = transaction_id
    WHERE account_id = '{0}' GROUP BY ledger_account, grant_id
UNION ALL SELECT 'key', '', '', spent_micro, 0 FROM api_key WHERE account_id = '{0}'
"""


class Crash(Exception):
    """The process dies here."""


class Silence:
    """A dispatcher without a bell."""

    def ring(self, pool: str) -> None:
        pass


class Eye:
    """A connection of its own, that only looks."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        parsed = make_url(url)
        self._runner = runner
        self._file = sqlite3.connect(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
        self._server = None if self._file else runner.run(connected(url))

    def look(self, query: str) -> list[tuple[str, str, str, int, int]]:
        if self._file is not None:
            return self._file.execute(query).fetchall()
        assert self._server is not None
        return [tuple(row) for row in self._runner.run(self._server.fetch(query))]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._server is not None:
            self._runner.run(self._server.close())


async def connected(url: str) -> Any:
    return await asyncpg.connect(url.replace("+asyncpg", ""))


class World:
    """What outlives an example: a database, its connections and an event loop."""

    def __init__(self, url: str, folder: Path, runner: asyncio.Runner) -> None:
        limits = {"active": 1000}
        results = {"idempotency_s": RETRY_S}
        chosen = Settings(data_dir=folder, database={"url": url}, limits=limits, results=results)  # pyright: ignore[reportArgumentType] (pydantic reads dictionaries)
        self.runner = runner
        self.eye = Eye(url, runner)
        self.clock = ManualClock()
        self.parts = Gateway(
            settings=chosen,
            secrets=resolve_secrets(chosen),
            catalog=Catalog(),
            price_book=BOOK,
            clock=self.clock,
            started_at=self.clock.utc_now(),
            database=Database.open(url),
            store=MemoryObjectStore(),
            dispatcher=Silence(),
            events=LocalEventServer(folder / "events.sock"),
            moderator=InTurn([KeywordPolicy()]),
            fetch_picture=fetch_nothing,
        )

    @property
    def database(self) -> Database:
        return self.parts.database

    def write(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """One committed transaction."""

        async def run() -> T:
            async with self.database.write() as session:
                return await work(session)

        return self.runner.run(run())

    def crash_after(self, num_statements: int, work: Awaitable[object]) -> None:
        """Die after so many statements, or at the commit if there are fewer: nothing may remain."""
        engine, num_left = self.database.engine.sync_engine, num_statements

        def count(*_: object) -> None:
            nonlocal num_left
            num_left -= 1
            if num_left < 0:
                raise Crash

        def die(_: object) -> None:
            raise Crash

        async def run() -> None:
            await work

        event.listen(engine, "before_cursor_execute", count)
        event.listen(engine, "commit", die)
        try:
            with pytest.raises(Crash):
                self.runner.run(run())
        finally:
            event.remove(engine, "before_cursor_execute", count)
            event.remove(engine, "commit", die)


class ClaimsMachine(RuleBasedStateMachine):
    """One account with one key, one pool, any number of workers, of which most are zombies."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.model = Model()
        self.network = f"net-{new_id()}"
        self.claims: list[Claim] = []
        self.tokens: list[str] = []
        self.token_until = self.now

    @property
    def now(self) -> datetime:
        return self.world.clock.utc_now()

    @initialize()
    def open_the_account(self) -> None:
        async def work(session: AsyncSession) -> tuple[str, str, str]:
            account = Account(id=new_id(), name=f"account {new_id()}", created_at=self.now)
            session.add(account)
            await session.flush()
            limit = SPENDING_LIMIT
            secrets = self.world.parts.secrets
            key = await create_key(session, account.id, secrets, self.now, spending_limit_micro=limit)
            await ledger.credit(session, account.id, CREDITS, "purchase", None, "a", "to begin with", self.now)
            seen = {"registered_at": self.now, "last_seen_at": self.now}
            session.add(Registration(network=self.network, pool=self.network, revision="r1", **seen))
            return account.id, key.id, key.token

        self.account_id, self.key_id, token = self.world.write(work)
        self.tokens.append(token)
        self.model.add("purchase", CREDITS, None)

    def owned(self, claim: Claim) -> ModelRow | None:
        row = self.model.rows[claim.generation_id]
        return row if row.state == "running" and row.attempt == claim.attempt else None

    def chosen(self, data: st.DataObject) -> Claim:
        return data.draw(st.sampled_from(self.claims[-6:]))

    def order(self, price: int, key: str | None) -> Order:
        name, width = ("priced", price * UNIT) if price else ("gratis", UNIT)
        spec = nano_spec().model_copy(update={"model": name, "network": self.network, "width": width, "height": UNIT})
        again = None if key is None else Retryable(key, "/v1/priced", f"price {price}")
        return Order(self.account_id, "bfl", spec, {}, self.key_id, again)

    def sent(self, price: int, key: str | None) -> Awaitable[Answer]:
        return submit(self.world.parts, self.order(price, key), answered)

    def refusal(self, price: int, key: str | None) -> type[ServiceError] | None:
        earlier = self.model.answer(key, self.now)
        if earlier is not None:
            return None if earlier.price == price else IdempotencyMismatch
        if self.model.spent + price > SPENDING_LIMIT:
            return SpendingLimitReached
        return InsufficientCredits if price > self.model.available(self.now) else None

    @rule(price=st.integers(0, 8), key=st.sampled_from([None, None, "a", "b"]))
    def submit(self, price: int, key: str | None) -> None:
        refusal, earlier = self.refusal(price, key), self.model.answer(key, self.now)
        if refusal is not None:
            with pytest.raises(refusal):
                self.world.runner.run(as_coroutine(self.sent(price, key)))
            return
        answer = self.world.runner.run(as_coroutine(self.sent(price, key)))
        task_id = answer.body["id"]
        assert answer.is_replay == (earlier is not None)
        if earlier is not None:
            assert task_id == earlier.task_id
            return
        (new,) = {one for one in self.stored().rows if one not in self.model.rows}
        self.model.submitted(price, task_id, new, self.now, DEADLINE_S)
        if key is not None:
            self.model.answers[key] = ModelAnswer(price, task_id, self.now + timedelta(seconds=RETRY_S))

    @rule(seconds=st.sampled_from([1.0, 5.0, LEASE_S, RETRY_S / 2, DEADLINE_S / 4]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        expected = self.model.claimable(self.now, limit)
        got = self.world.write(
            lambda s: claims.claim(s, "worker", self.network, [self.network], limit, self.now, LEASE_S)
        )
        assert [claim.generation_id for claim in got] == expected
        for claim in got:
            row = self.model.rows[claim.generation_id]
            row.state, row.stepped = "running", False
            row.attempt += 1
            row.lease_until = self.now + timedelta(seconds=LEASE_S)
            assert claim.attempt == row.attempt
        self.claims += got

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def first_step(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        self.world.write(lambda session: claims.mark_first_step(session, [claim.held], self.now))
        if row := self.owned(claim):
            row.stepped = True

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        result = self.world.write(lambda session: claims.renew(session, [claim.held], self.now, LEASE_S))
        row = self.owned(claim)
        assert bool(result.lost) == (row is None)
        assert bool(result.cancelled) == (row is not None and row.cancelled)
        if row is not None:
            row.lease_until = self.now + timedelta(seconds=LEASE_S)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        self.world.write(lambda session: claims.hand_back(session, [claim.held], self.now))
        if row := self.owned(claim):
            row.state = "queued"

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        row = self.owned(claim)
        won = self.world.write(lambda session: self.delivered(session, claim))
        known = self.model.rows[claim.generation_id]
        assert won == (row is not None or (known.state == "ready" and known.attempt == claim.attempt))
        if row is not None:
            row.state = "ready"
            self.model.posted -= row.price

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), state=st.sampled_from(["retryable", "error", "content_moderated"]))
    def fail(self, data: st.DataObject, state: str) -> None:
        claim = self.chosen(data)
        moderated = Failed("moderated", "moderated", False, "content_moderated")
        failed = moderated if state == "content_moderated" else Failed("broken", "broken", state == "retryable")
        row = self.owned(claim)
        won = self.world.write(lambda s: claims.settle_failed(s, *claim.held, failed, self.now, MAX_FAILURES))
        assert won == (row is not None)
        if row is not None:
            row.failures += 1
            row.suspect = True
            if failed.retryable and row.failures < MAX_FAILURES:
                row.state = "queued"
            else:
                row.end(failed.state)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        claim = self.chosen(data)
        row = self.owned(claim)
        won = self.world.write(lambda session: claims.settle_cancelled(session, *claim.held, self.now))
        assert won == (row is not None)
        if row is not None:
            row.end("cancelled")

    @precondition(lambda self: self.model.rows)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(list(self.model.rows.values())[-4:]), label="row")
        self.world.write(lambda session: claims.request_cancel(session, row.task_id, self.now))
        if row.state == "queued":
            row.end("cancelled")
        elif row.state == "running":
            row.cancelled = True

    @rule()
    def sweep(self) -> None:
        async def work(session: AsyncSession) -> None:
            await claims.sweep(session, self.now, MAX_FAILURES)
            await idempotency.forget_expired(session, self.now)

        self.world.write(work)
        self.model.sweep(self.now, MAX_FAILURES)

    @precondition(lambda self: any(self.owned(claim) for claim in self.claims))
    @rule()
    def make_zombies(self) -> None:
        """Every worker freezes for longer than its lease, and others take over."""
        self.wait(LEASE_S)
        self.sweep()
        self.claim(3)

    @rule(
        kind=st.sampled_from(["free", "grant", "purchase"]),
        micro=st.integers(1, 9),
        ends=st.sampled_from([None, 5.0, 700.0]),
    )
    def grant(self, kind: CreditKind, micro: int, ends: float | None) -> None:
        expires_at = None if ends is None else self.now + timedelta(seconds=ends)
        self.world.write(
            lambda s: ledger.credit(s, self.account_id, micro, kind, None, "a", "b", self.now, expires_at=expires_at)
        )
        self.model.add(kind, micro, expires_at)

    @rule()
    def expire(self) -> None:
        lost = self.world.write(lambda session: ledger.expire(session, self.account_id, self.now))
        assert lost == self.model.expire(self.now)

    @rule(micro=st.integers(-5, 5))
    def adjust(self, micro: int) -> None:
        def work(session: AsyncSession) -> Awaitable[None]:
            return ledger.credit(session, self.account_id, micro, "adjust", None, "admin", "why", self.now)

        if self.model.available(self.now) + micro < 0:
            with pytest.raises(InsufficientCredits):
                self.world.write(work)
            return
        self.world.write(work)
        if micro < 0:
            self.model.draw(-micro, self.now)
        self.model.add("adjust", micro, None)

    @rule()
    def rotate(self) -> None:
        async def work(session: AsyncSession) -> str:
            row = await session.get_one(ApiKey, self.key_id)
            overlap = timedelta(seconds=OVERLAP_S)
            return (await rotate_key(row, self.world.parts.secrets, self.now, overlap)).token

        self.tokens.append(self.world.write(work))
        self.token_until = self.now + timedelta(seconds=OVERLAP_S)

    @rule()
    def look_up_every_secret(self) -> None:
        """The newest one works, the one before until its overlap ends, and no other."""

        async def read() -> list[bool]:
            async with self.world.database.read() as session:
                secrets = self.world.parts.secrets
                return [await look_up(session, token, secrets, self.now) is not None for token in self.tokens[-3:]]

        *older, newest = self.world.runner.run(read())
        assert newest
        assert older[-1:] in ([], [self.now < self.token_until])
        assert not any(older[:-1])

    @precondition(lambda self: any(self.owned(claim) for claim in self.claims))
    @rule(data=st.data(), survived=st.integers(0, 9))
    def crash_while_delivering(self, data: st.DataObject, survived: int) -> None:
        claim = data.draw(st.sampled_from([claim for claim in self.claims if self.owned(claim)]))

        async def work() -> None:
            async with self.world.database.write() as session:
                await self.delivered(session, claim)

        self.world.crash_after(survived, work())

    @rule(survived=st.integers(0, 20), key=st.sampled_from([None, "a", "c"]))
    def crash_while_submitting(self, survived: int, key: str | None) -> None:
        if self.refusal(1, key) is None and self.model.answer(key, self.now) is None:
            self.world.crash_after(survived, self.sent(1, key))

    @precondition(lambda self: any(grant.remaining and not grant.is_alive(self.now) for grant in self.model.grants))
    @rule(survived=st.integers(0, 7))
    def crash_while_expiring(self, survived: int) -> None:
        async def work() -> None:
            async with self.world.database.write() as session:
                await ledger.expire(session, self.account_id, self.now)

        self.world.crash_after(survived, work())

    @invariant()
    def the_database_equals_the_model(self) -> None:
        found, model = self.stored(), self.model
        assert found.account == (model.posted, model.held)
        assert [found.left[one] for one in sorted(found.left)] == [grant.remaining for grant in model.grants]
        assert found.spent == model.spent
        assert found.rows == {one: (row.state, row.attempt, row.failures) for one, row in model.rows.items()}
        self.the_entries_say_the_same(found)

    def the_entries_say_the_same(self, found: Stored) -> None:
        """Replayed from nothing they give the balances; a row reserves once, and settles once when it is over."""
        assert found.moves == {one: (1, 0 if row.is_active else 1) for one, row in self.model.rows.items()}
        assert sum(found.entries.values()) == 0
        assert found.entries["held"] == self.model.held
        assert found.entries["revenue"] == self.model.revenue
        assert {one: micro for one, micro in found.available.items() if micro} == {
            one: micro for one, micro in found.left.items() if micro
        }

    def stored(self) -> Stored:
        """What another connection sees, in one statement: the service's own path would take most of this test's time."""
        found = Stored()
        for row in self.world.eye.look(LOOK.format(self.account_id)):
            found.add(*row)
        return found

    def teardown(self) -> None:
        if not self.tokens:
            return
        self.world.clock.advance(DEADLINE_S)
        self.sweep()
        self.expire()
        assert self.model.held == 0
        self.the_database_equals_the_model()

    def delivered(self, session: AsyncSession, claim: Claim) -> Awaitable[bool]:
        key = result_key(claim.generation_id, claim.attempt, "png")
        picture = Delivered(key, "image/png", "0" * 64, 128, 128, 0, 1, self.now)
        return claims.settle_delivered(session, *claim.held, picture, self.now)


def answered(task: Submitted) -> Answer:
    return Answer(200, {"id": task.task_id})


async def audited(database: Database) -> list[ledger.Breach]:
    async with database.read() as session:
        return await ledger.verify(session)


async def as_coroutine(work: Awaitable[T]) -> T:
    return await work


def run(url: str, folder: Path, profile: settings) -> None:
    """All examples share the database; each has an account, a key, a pool and a network of its own."""
    with asyncio.Runner() as runner:
        world = World(url, folder, runner)

        class Machine(ClaimsMachine):
            def __init__(self) -> None:
                super().__init__(world)

        try:
            run_state_machine_as_test(Machine, settings=profile)
            assert runner.run(audited(world.database)) == []
        finally:
            world.eye.close()
            runner.run(world.database.close())


def test_any_order_of_events_keeps_rows_and_money_right(database_url: str, tmp_path: Path) -> None:
    run(database_url, tmp_path, SUITE)


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("batch", range(NUM_BATCHES))
def test_any_order_of_events_in_five_hundred_examples(database_url: str, tmp_path: Path, batch: int) -> None:
    run(database_url, tmp_path, PROVE)
