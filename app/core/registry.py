"""Which workers are alive and which networks each pool can run."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.worker import Registration, Worker
from app.core.db.upsert import upsert

FORGET_WORKERS_AFTER_S = 3600.0


@dataclass(frozen=True)
class WorkerRecord:
    """A worker process as others see it."""

    id: str
    pool: str
    host: str
    pid: int
    started_at: datetime


@dataclass(frozen=True)
class RegistrationRecord:
    """Weights that a pool can run."""

    network: str
    revision: str


async def register(
    session: AsyncSession, worker: WorkerRecord, registrations: Iterable[RegistrationRecord], now: datetime
) -> None:
    """A worker is ready; its pool has these networks from now on. Workers that were silent for an hour are forgotten."""
    row = {
        "id": worker.id,
        "pool": worker.pool,
        "host": worker.host,
        "pid": worker.pid,
        "started_at": worker.started_at,
        "ready_at": now,
        "last_seen_at": now,
    }
    await upsert(session, Worker, row, key=["id"])
    for record in registrations:
        await _register_network(session, worker.pool, record, now)
    await session.execute(delete(Worker).where(Worker.last_seen_at < now - timedelta(seconds=FORGET_WORKERS_AFTER_S)))


async def seen(session: AsyncSession, worker_id: str, pool: str, networks: Collection[str], now: datetime) -> None:
    """The worker is alive, and so are its pool's networks."""
    await session.execute(update(Worker).where(Worker.id == worker_id).values(last_seen_at=now))
    mine = (Registration.pool == pool, Registration.network.in_(sorted(networks)))
    await session.execute(update(Registration).where(*mine).values(last_seen_at=now))


async def retire(session: AsyncSession, worker_id: str) -> None:
    """The worker has ended in good order. Its pool's networks stay registered."""
    await session.execute(delete(Worker).where(Worker.id == worker_id))


async def pools_of(session: AsyncSession, network: str) -> list[str]:
    """Pools that can run a network, whether or not a worker is alive."""
    query = select(Registration.pool).where(Registration.network == network).order_by(Registration.pool)
    return list((await session.scalars(query)).all())


async def unregister(session: AsyncSession, network: str, pool: str) -> None:
    """The pool no longer has these weights."""
    await session.execute(delete(Registration).where(Registration.network == network, Registration.pool == pool))


async def _register_network(session: AsyncSession, pool: str, record: RegistrationRecord, now: datetime) -> None:
    known = (
        update(Registration)
        .where(Registration.network == record.network, Registration.pool == pool)
        .values(revision=record.revision, last_seen_at=now)
        .returning(Registration.network)
    )
    if (await session.scalars(known, execution_options={"synchronize_session": False})).first() is None:
        row = {
            "network": record.network,
            "pool": pool,
            "revision": record.revision,
            "registered_at": now,
            "last_seen_at": now,
        }
        await upsert(session, Registration, row, key=["network", "pool"])
