"""Claims, leases, settles and sweeps, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.core import claims, ledger
from app.core.claims import Claim, Delivered, Failed
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.generation import Generation
from app.core.states import GenerationState
from tests.fixtures.accounts import CREDITS_MICRO, EPOCH, NETWORK, POOL, PRICE_MICRO, MakeAccount, Submit

pytestmark = pytest.mark.anyio

LEASE_S = 12.0
MAX_FAILURES = 3
CRASH = Failed("out_of_memory", "the device is full", retryable=True)


def at(seconds: float):
    return EPOCH + timedelta(seconds=seconds)


def picture(claim: Claim) -> Delivered:
    return Delivered(
        object_key=f"results/{claim.generation_id}/{claim.attempt}.png",
        content_type="image/png",
        sha256="0" * 64,
        width=128,
        height=128,
        seed=claim.spec.seed,
        num_bytes=10,
        finished_at=at(1),
    )


async def claim(database: Database, worker: str = "w1", limit: int = 8, seconds: float = 0, **wanted: object):
    pool, networks = str(wanted.get("pool", POOL)), [str(wanted.get("network", NETWORK))]
    async with database.write() as session:
        return await claims.claim(session, worker, pool, networks, limit, at(seconds), LEASE_S)


async def deliver(database: Database, held: Claim) -> bool:
    async with database.write() as session:
        return await claims.settle_delivered(session, held.generation_id, held.attempt, picture(held), at(1))


async def fail(database: Database, held: Claim, failed: Failed = CRASH) -> bool:
    async with database.write() as session:
        return await claims.settle_failed(session, *held.held, failed, at(1), MAX_FAILURES)


async def first_step(database: Database, held: Claim) -> None:
    async with database.write() as session:
        await claims.mark_first_step(session, [held.held], at(1))


async def sweep(database: Database, seconds: float) -> claims.SweepReport:
    async with database.write() as session:
        return await claims.sweep(session, at(seconds), MAX_FAILURES)


async def row(database: Database, generation_id: str) -> Generation:
    async with database.read() as session:
        return await session.get_one(Generation, generation_id)


async def balance(database: Database, account_id: str) -> tuple[int, int]:
    """Posted and held; the audit passes."""
    async with database.read() as session:
        assert await ledger.verify(session) == []
        account = await session.get_one(Account, account_id)
        return account.posted_micro, account.held_micro


async def test_a_claim_takes_the_lowest_priority_then_the_longest_queued(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    (late,) = await submit(account_id, now=at(-1))
    (early,) = await submit(account_id, now=at(-2))
    (urgent,) = await submit(account_id, now=at(0), priority=-1)
    claimed = await claim(database, limit=2) + await claim(database, limit=2)
    assert [one.generation_id for one in claimed] == [urgent, early, late]
    assert await claim(database) == []


async def test_a_claim_takes_only_what_its_pool_and_networks_can_run(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    await submit(await make_account())
    assert await claim(database, pool="other") == []
    assert await claim(database, network="flux-2-dev") == []
    assert len(await claim(database)) == 1


async def test_a_newer_spec_is_left_for_a_newer_worker(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    async with database.write() as session:
        await session.execute(update(Generation).values(spec_version=99))
    assert await claim(database) == []
    assert (await row(database, generation_id)).state == GenerationState.QUEUED


async def test_a_spec_that_cannot_be_read_ends_its_row_and_not_the_queue(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    (broken,) = await submit(account_id)
    async with database.write() as session:
        await session.execute(update(Generation).values(spec='{"version": 1}'))
    (sound,) = await submit(account_id, now=at(1))
    assert [one.generation_id for one in await claim(database, limit=8, seconds=2)] == [sound]
    assert (await row(database, broken)).error_code == "invalid_spec"
    assert await balance(database, account_id) == (CREDITS_MICRO, PRICE_MICRO)


async def test_a_delivered_image_is_charged_once_and_says_so_again(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    await submit(account_id)
    (held,) = await claim(database)
    assert await deliver(database, held)
    assert await deliver(database, held)
    assert await balance(database, account_id) == (CREDITS_MICRO - PRICE_MICRO, 0)
    settled = await row(database, held.generation_id)
    assert (settled.state, settled.object_key, settled.lease_until) == ("ready", picture(held).object_key, None)


async def test_a_zombie_changes_nothing(database: Database, make_account: MakeAccount, submit: Submit) -> None:
    account_id = await make_account()
    await submit(account_id)
    (zombie,) = await claim(database)
    await sweep(database, LEASE_S)
    (living,) = await claim(database, "w2", seconds=LEASE_S)
    assert living.attempt == zombie.attempt + 1
    assert not await deliver(database, zombie)
    assert not await fail(database, zombie)
    async with database.write() as session:
        assert not await claims.settle_cancelled(session, *zombie.held, at(LEASE_S))
        await claims.hand_back(session, [zombie.held], at(LEASE_S))
        await claims.mark_first_step(session, [zombie.held], at(LEASE_S))
        renewed = await claims.renew(session, [zombie.held], at(LEASE_S), LEASE_S)
    assert renewed.lost == {zombie.generation_id}
    stored = await row(database, living.generation_id)
    assert (stored.state, stored.worker_id, stored.first_step_at) == ("running", "w2", None)
    assert await balance(database, account_id) == (CREDITS_MICRO, PRICE_MICRO)
    assert await deliver(database, living)
    assert not await deliver(database, zombie)
    assert await balance(database, account_id) == (CREDITS_MICRO - PRICE_MICRO, 0)


async def test_a_renewed_lease_outlives_the_sweep_and_names_the_cancelled(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    await submit(account_id)
    (held,) = await claim(database)
    async with database.write() as session:
        assert await claims.request_cancel(session, held.task_id, at(5)) == []
        renewed = await claims.renew(session, [held.held, ("unknown", 1)], at(6), LEASE_S)
    assert renewed == claims.RenewResult(frozenset({"unknown"}), frozenset({held.generation_id}))
    assert await sweep(database, LEASE_S + 1) == claims.SweepReport((), (), frozenset())
    async with database.write() as session:
        assert await claims.settle_cancelled(session, *held.held, at(14))
    assert await balance(database, account_id) == (CREDITS_MICRO, 0)


async def test_a_lease_lost_before_the_first_step_is_no_failure(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    for attempt in range(1, 2 * MAX_FAILURES):
        (held,) = await claim(database, seconds=attempt * LEASE_S)
        assert held.attempt == attempt
        report = await sweep(database, (attempt + 1) * LEASE_S)
        assert (report.requeued, report.pools) == ((generation_id,), {POOL})
    assert (await row(database, generation_id)).failures == 0


async def test_leases_lost_after_the_first_step_end_it_at_the_limit(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    """The first makes it a suspect, and each after it counts."""
    account_id = await make_account()
    (generation_id,) = await submit(account_id)
    seen: list[tuple[bool, int]] = []
    ends: list[str] = []
    for attempt in range(1, MAX_FAILURES + 2):
        (held,) = await claim(database, seconds=attempt * LEASE_S)
        seen.append((held.is_suspect, (await row(database, generation_id)).failures))
        await first_step(database, held)
        ends += [one.state for one in (await sweep(database, (attempt + 1) * LEASE_S)).settled]
    assert seen == [(False, 0), (True, 0), (True, 1), (True, 2)]
    assert ends == ["error"]
    ended = await row(database, generation_id)
    assert (ended.error_code, ended.failures, ended.attempt) == ("worker_lost", MAX_FAILURES, MAX_FAILURES + 1)
    assert await balance(database, account_id) == (CREDITS_MICRO, 0)


async def test_a_claim_forgets_the_first_step_of_the_attempt_before(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    (held,) = await claim(database)
    await first_step(database, held)
    await sweep(database, LEASE_S)
    await claim(database, seconds=LEASE_S)
    await sweep(database, 2 * LEASE_S)
    (again,) = await claim(database, seconds=2 * LEASE_S)
    assert again.is_suspect
    assert (await row(database, generation_id)).failures == 0


async def test_only_rows_that_a_dead_worker_had_begun_are_suspects(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    await submit(await make_account(), num_images=3)
    begun, also_begun, waiting = await claim(database)
    for held in (begun, also_begun):
        await first_step(database, held)
    await sweep(database, LEASE_S)
    again = {one.generation_id: one.is_suspect for one in await claim(database, "w2", seconds=LEASE_S)}
    assert again == {begun.generation_id: True, also_begun.generation_id: True, waiting.generation_id: False}


async def test_a_hand_back_keeps_attempt_failures_and_place(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    (first,) = await submit(account_id, now=at(-1))
    await submit(account_id)
    (held,) = await claim(database, limit=1)
    await first_step(database, held)
    async with database.write() as session:
        await claims.hand_back(session, [held.held], at(2))
    (again,) = await claim(database, limit=1, seconds=3)
    assert again.held == (first, 2)
    assert (await row(database, first)).failures == 0


async def test_a_retryable_failure_is_tried_again_until_the_limit(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    (generation_id,) = await submit(account_id)
    states: list[str] = []
    for _ in range(MAX_FAILURES):
        (held,) = await claim(database)
        assert await fail(database, held)
        states.append((await row(database, generation_id)).state)
        assert held.is_suspect == (len(states) > 1)
    assert states == ["queued", "queued", "error"]
    assert (await row(database, generation_id)).error_code == CRASH.code
    assert await balance(database, account_id) == (CREDITS_MICRO, 0)


@pytest.mark.parametrize("state", ["error", "request_moderated", "content_moderated"])
async def test_a_failure_that_cannot_pass_releases_at_once(
    database: Database, make_account: MakeAccount, submit: Submit, state: str
) -> None:
    account_id = await make_account()
    (generation_id,) = await submit(account_id)
    (held,) = await claim(database)
    assert await fail(database, held, replace(CRASH, retryable=state != "error", state=state))  # pyright: ignore[reportArgumentType] (one of three)
    assert (await row(database, generation_id)).state == state
    assert await balance(database, account_id) == (CREDITS_MICRO, 0)


async def test_a_passed_deadline_ends_queued_and_running_rows(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    await submit(account_id, num_images=2)
    (held,) = await claim(database, limit=1)
    async with database.read() as session:
        assert not await claims.sweep_is_due(session, at(LEASE_S - 1))
        assert await claims.sweep_is_due(session, at(1800))
    report = await sweep(database, 1800)
    assert [one.state for one in report.settled] == ["error", "error"]
    assert (await row(database, held.generation_id)).error_code == "deadline_exceeded"
    assert not await deliver(database, held)
    assert await balance(database, account_id) == (CREDITS_MICRO, 0)


async def test_a_passed_deadline_is_never_claimed(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    await submit(await make_account())
    assert await claim(database, seconds=1800) == []


async def test_a_cancel_ends_what_is_queued_and_the_sweep_ends_what_was_running(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    await submit(account_id, num_images=2)
    (held,) = await claim(database, limit=1)
    async with database.write() as session:
        cancelled = await claims.request_cancel(session, held.task_id, at(1))
    assert len(cancelled) == 1
    report = await sweep(database, LEASE_S)
    assert [(one.generation_id, one.state) for one in report.settled] == [(held.generation_id, "cancelled")]
    assert await balance(database, account_id) == (CREDITS_MICRO, 0)


async def test_a_cancelled_row_that_is_handed_back_is_not_run_again(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    await submit(account_id)
    (held,) = await claim(database)
    async with database.write() as session:
        await claims.request_cancel(session, held.task_id, at(1))
        await claims.hand_back(session, [held.held], at(1))
    assert await claim(database, seconds=2) == []
    assert [one.state for one in (await sweep(database, 2)).settled] == ["cancelled"]
    assert await balance(database, account_id) == (CREDITS_MICRO, 0)


async def test_the_queue_knows_its_load(database: Database, make_account: MakeAccount, submit: Submit) -> None:
    account_id = await make_account()
    for moment, priority in ((1, 0), (0, 0), (0, 5)):
        await submit(account_id, now=at(moment), priority=priority)
    async with database.read() as session:
        loads = await claims.queue_loads(session, POOL)
    assert loads == {0: claims.QueueLoad(2, 2.0), 5: claims.QueueLoad(1, 1.0)}
