"""The port that workers use, on both databases: a job's way through it, and what it says about its worker."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core import ledger, registry
from app.core.claims import Delivered, Failed
from app.core.clock import ManualClock
from app.core.config import QueueSettings
from app.core.db.engine import Database
from app.core.db.tables.worker import Registration, Worker
from app.core.registry import RegistrationRecord, WorkerRecord
from app.core.work.base import WorkPort
from app.core.work.sql import SqlWorkPort
from tests.fixtures.accounts import NETWORK, POOL, MakeAccount, Submit

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def port(database: Database, clock: ManualClock) -> WorkPort:
    port = SqlWorkPort(database, QueueSettings(), clock, "w1", POOL, [NETWORK])
    worker = WorkerRecord("w1", POOL, "host", 1, clock.utc_now())
    await port.register(worker, [RegistrationRecord(NETWORK, "abc")], clock.utc_now())
    return port


async def test_a_job_goes_through(
    database: Database, clock: ManualClock, port: WorkPort, make_account: MakeAccount, submit: Submit
) -> None:
    await submit(await make_account(), num_images=3)
    one, two, three = await port.claim(8)
    assert await port.claim(8) == []
    await port.first_step([one.held, two.held, three.held])
    clock.advance(3)
    renewed = await port.renew([one.held, two.held, three.held, ("gone", 1)])
    assert (renewed.lost, renewed.cancelled) == ({"gone"}, frozenset())
    key = f"results/{one.generation_id}/1.png"
    picture = Delivered(key, "image/png", "0" * 64, 128, 128, one.spec.seed, 3, clock.utc_now())
    assert await port.deliver(*one.held, picture)
    assert await port.fail(*two.held, Failed("bad_input", "cannot work", retryable=False))
    assert not await port.cancelled(*two.held)
    await port.hand_back([three.held])
    assert [again.held for again in await port.claim(8)] == [(three.generation_id, 2)]
    async with database.read() as session:
        assert await ledger.verify(session) == []


async def test_nothing_is_claimed_into_no_room(port: WorkPort, make_account: MakeAccount, submit: Submit) -> None:
    await submit(await make_account())
    assert await port.claim(0) == []


async def test_a_registration_outlives_its_worker(database: Database, clock: ManualClock, port: WorkPort) -> None:
    later = clock.advance(60)
    await port.seen("w1", later)
    async with database.read() as session:
        worker = (await session.scalars(select(Worker))).one()
        registration = (await session.scalars(select(Registration))).one()
    assert (worker.last_seen_at, registration.last_seen_at) == (later, later)
    assert registration.registered_at == worker.ready_at == later - timedelta(seconds=60)
    await port.close()
    async with database.read() as session:
        assert (await session.scalars(select(Worker))).all() == []
        assert await registry.pools_of(session, NETWORK) == [POOL]
    async with database.write() as session:
        await registry.unregister(session, NETWORK, POOL)
        assert await registry.pools_of(session, NETWORK) == []


async def test_new_weights_change_the_revision_and_silent_workers_are_forgotten(
    database: Database, clock: ManualClock, port: WorkPort
) -> None:
    first = clock.utc_now()
    later = clock.advance(registry.FORGET_WORKERS_AFTER_S + 1)
    await port.register(WorkerRecord("w2", POOL, "host", 2, later), [RegistrationRecord(NETWORK, "def")], later)
    async with database.read() as session:
        registration = (await session.scalars(select(Registration))).one()
        assert (registration.revision, registration.registered_at) == ("def", first)
        assert (await session.scalars(select(Worker.id))).all() == ["w2"]
