"""Many connections at once on both databases: no double claim, no double charge, no overdraft, whoever dies when."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.core import claims, ledger
from app.core.claims import Claim, Delivered, Failed
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.generation import Generation
from app.core.errors import InsufficientCredits
from app.core.ids import result_key
from app.core.states import ACTIVE_STATES
from tests.fixtures.accounts import EPOCH, NETWORK, POOL, PRICE_MICRO, MakeAccount, Submit, insert_account, insert_task

pytestmark = pytest.mark.anyio

NUM_WORKERS = 4
NUM_JOBS = 24
LEASE_S = 12.0
MAX_FAILURES = 3
PROGRAM = Path(__file__).with_name("chaos_worker.py")
CHAOS_S = 20.0
CHAOS_JOBS = 150


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[list[Database]]:
    """As many independent connections as there are workers, as if each were its own process."""
    opened = [Database.open(database_url) for _ in range(NUM_WORKERS)]
    yield opened
    for one in opened:
        await one.close()


async def settle(database: Database, claim: Claim) -> bool:
    key = result_key(*claim.held, "png")
    picture = Delivered(key, "image/png", "0" * 64, 128, 128, 0, 1, EPOCH)
    async with database.write() as session:
        return await claims.settle_delivered(session, *claim.held, picture, EPOCH)


async def test_racing_workers_share_the_queue(
    connections: list[Database], make_account: MakeAccount, submit: Submit
) -> None:
    ids = await submit(await make_account(), num_images=NUM_JOBS)

    async def drain(worker: str, database: Database) -> list[Claim]:
        got: list[Claim] = []
        while True:
            async with database.write() as session:
                more = await claims.claim(session, worker, POOL, [NETWORK], 2, EPOCH, LEASE_S)
            if not more:
                return got
            got += more

    shares = await asyncio.gather(*(drain(f"w{i}", database) for i, database in enumerate(connections)))
    claimed = [claim.held for share in shares for claim in share]
    assert sorted(claimed) == sorted((one, 1) for one in ids)


async def test_racing_settles_of_one_attempt_charge_once(
    connections: list[Database], make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account()
    await submit(account_id)
    async with connections[0].write() as session:
        (held,) = await claims.claim(session, "w", POOL, [NETWORK], 1, EPOCH, LEASE_S)

    async def fail(database: Database) -> bool:
        async with database.write() as session:
            return await claims.settle_failed(session, *held.held, Failed("x", "x", False), EPOCH, MAX_FAILURES)

    async def sweep(database: Database) -> bool:
        async with database.write() as session:
            return bool((await claims.sweep(session, EPOCH + timedelta(days=1), MAX_FAILURES)).settled)

    one, two, three, four = connections
    won = await asyncio.gather(settle(one, held), fail(two), sweep(three), fail(four))
    assert sum(won) == 1
    async with one.read() as session:
        assert await ledger.verify(session) == []


async def test_workers_zombies_sweeps_and_cancels_at_once(
    connections: list[Database], make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account(NUM_JOBS * PRICE_MICRO)
    for _ in range(NUM_JOBS // 3):
        await submit(account_id, num_images=3)
    chance = random.Random(7)
    now = [EPOCH]
    delivered: Counter[str] = Counter()
    zombies: list[Claim] = []

    async def work(worker: str, database: Database) -> None:
        for _ in range(NUM_JOBS // 2):
            async with database.write() as session:
                got = await claims.claim(session, worker, POOL, [NETWORK], 2, now[0], LEASE_S)
            for claim in got:
                await one_job(database, claim)
            now[0] += timedelta(seconds=LEASE_S / 3)

    async def one_job(database: Database, claim: Claim) -> None:
        fate = chance.random()
        if fate < 0.2:
            zombies.append(claim)
            return
        async with database.write() as session:
            await claims.mark_first_step(session, [claim.held], now[0])
            if fate < 0.3:
                await claims.hand_back(session, [claim.held], now[0])
            if fate > 0.9:
                await claims.request_cancel(session, claim.task_id, now[0])
        delivered[claim.generation_id] += await settle(database, claim)
        if zombies:
            undead = zombies.pop()
            delivered[undead.generation_id] += await settle(database, undead)

    async def sweep(database: Database) -> None:
        for _ in range(NUM_JOBS // 2):
            async with database.write() as session:
                await claims.sweep(session, now[0], MAX_FAILURES)

    async def audit(database: Database) -> None:
        """The audit reads one moment, so that what happens meanwhile never looks like a breach."""
        for _ in range(NUM_JOBS // 4):
            async with database.read() as session:
                assert await ledger.verify(session) == []

    *workers, last = connections
    await asyncio.gather(*(work(f"w{i}", one) for i, one in enumerate(workers)), sweep(last), audit(last))
    async with last.write() as session:
        await claims.sweep(session, now[0] + timedelta(days=1), MAX_FAILURES)
    await check_the_end(last, account_id, NUM_JOBS * PRICE_MICRO)
    assert max(delivered.values()) == 1


async def check_the_end(database: Database, account_id: str, credits_micro: int) -> None:
    """Everything is final, nothing is held, each picture was paid once, and the audit passes."""
    async with database.read() as session:
        account = await session.get_one(Account, account_id)
        num_ready = select(func.count()).where(Generation.state == "ready")
        num_active = select(func.count()).where(Generation.state.in_(sorted(ACTIVE_STATES)))
        ready = (await session.scalars(num_ready)).one()
        assert (await session.scalars(num_active)).one() == 0
        assert ready > 0
        assert (account.posted_micro, account.held_micro) == (credits_micro - ready * PRICE_MICRO, 0)
        assert await ledger.verify(session) == []


@pytest.mark.prove
@pytest.mark.timeout(300)
async def test_killed_and_frozen_processes_lose_nothing(database_url: str) -> None:
    """Submitters and workers are real processes; they get SIGKILL, or SIGSTOP for longer than a lease, again and again."""
    database = Database.open(database_url)
    credits_micro = (CHAOS_JOBS - 10) * PRICE_MICRO
    async with database.write() as session:
        account_id = await insert_account(session, credits_micro)
    chance = random.Random(11)
    running = [await start(database_url, account_id, role) for role in ["submit"] * 2 + ["work"] * 3]
    num_kills = 0
    end = datetime.now(UTC) + timedelta(seconds=CHAOS_S)
    while datetime.now(UTC) < end:
        await asyncio.sleep(0.2)  # processes run by the wall clock
        async with database.write() as session:
            await claims.sweep(session, datetime.now(UTC), MAX_FAILURES)
        assert [role for role, process in running if process.returncode is not None] == []
        if chance.random() < 0.4:
            index = chance.randrange(len(running))
            role, victim = running[index]
            num_kills += 1
            await hurt(victim, frozen_s=1.5 if chance.random() < 0.3 else 0)
            running[index] = await start(database_url, account_id, role)
    await finish(database, running)
    await check_the_end(database, account_id, credits_micro)
    await database.close()
    assert num_kills >= 10


async def start(url: str, account_id: str, role: str) -> tuple[str, asyncio.subprocess.Process]:
    folder = str(Path(__file__).parents[3])
    process = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAM, role, url, account_id, env={**os.environ, "PYTHONPATH": folder}
    )
    return role, process


async def hurt(process: asyncio.subprocess.Process, frozen_s: float) -> None:
    """Freeze it past its lease and let it go on for a moment as a zombie, or not; then kill it."""
    if frozen_s and process.returncode is None:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(frozen_s)
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.2)
    if process.returncode is None:
        process.kill()
    await process.wait()


async def finish(database: Database, running: list[tuple[str, asyncio.subprocess.Process]]) -> None:
    """No more submits; the workers drain the queue; then all of them are killed."""
    for role, process in running:
        if role == "submit" and process.returncode is None:
            process.kill()
    num_active = select(func.count()).where(Generation.state.in_(sorted(ACTIVE_STATES)))
    while True:
        async with database.write() as session:
            await claims.sweep(session, datetime.now(UTC), MAX_FAILURES)
            if (await session.scalars(num_active)).one() == 0:
                break
        await asyncio.sleep(0.2)
    for _, process in running:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_account_of_many_submitters_is_never_overdrawn(connections: list[Database]) -> None:
    async with connections[0].write() as session:
        account_id = await insert_account(session, 5 * PRICE_MICRO)

    async def spend(database: Database) -> int:
        num_accepted = 0
        for _ in range(4):
            try:
                async with database.write() as session:
                    await insert_task(session, account_id)
                num_accepted += 1
            except InsufficientCredits:
                break
        return num_accepted

    assert sum(await asyncio.gather(*(spend(database) for database in connections))) == 5
    async with connections[0].read() as session:
        assert await ledger.verify(session) == []
