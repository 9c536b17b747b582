"""Claims, leases, settles and sweeps: every change of a generation's state, as SQL that both databases run.

All of it happens inside the caller's writing transaction. A worker owns a generation while (id, attempt, running) is still
true; each of its writes is fenced on that, so a zombie changes nothing. On PostgreSQL rows are picked FOR UPDATE SKIP LOCKED,
on SQLite the transaction itself excludes other writers. app.core.ledger moves the money, in the same transaction; whose turn
it is, app.core.fairness says.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, true, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import fairness, ledger
from app.core.db.tables.api_key import ApiKey
from app.core.db.tables.generation import IS_ACTIVE, Generation
from app.core.spec import SPEC_VERSION, GenerationSpec
from app.core.states import GenerationState

SWEEP_LIMIT = 500
AGEING_S = 20.0

Held = tuple[str, int]
"""A generation's id and the attempt that its worker was given."""

Place = tuple[int, float]
"""Priority and expected seconds: where a row stands among those that a worker could run next."""

_UNCLAIMED: dict[str, Any] = {"worker_id": None, "lease_until": None}


@dataclass(frozen=True)
class Claim:
    """A generation that is this worker's until its lease ends."""

    generation_id: str
    task_id: str
    attempt: int
    spec: GenerationSpec
    priority: int
    queued_at: datetime
    deadline_at: datetime
    expected_s: float
    is_suspect: bool = False
    """An earlier attempt was lost after its first step, or failed: it may be what its worker died of, and runs with no other begun."""

    @property
    def held(self) -> Held:
        return self.generation_id, self.attempt


@dataclass(frozen=True)
class Delivered:
    """A picture that lies in the object store."""

    object_key: str
    content_type: str
    sha256: str
    width: int
    height: int
    seed: int
    num_bytes: int
    finished_at: datetime


@dataclass(frozen=True)
class Failed:
    """Why a run gave no picture. A retryable failure is tried again until max_failures; a moderated one never is."""

    code: str
    message: str
    retryable: bool
    state: Literal["error", "request_moderated", "content_moderated"] = "error"


@dataclass(frozen=True)
class RenewResult:
    """What a worker has to stop: rows that are no longer its own, and rows that somebody cancelled."""

    lost: frozenset[str]
    cancelled: frozenset[str]


@dataclass(frozen=True)
class Settled:
    """A generation that reached a final state."""

    generation_id: str
    task_id: str
    state: str


@dataclass(frozen=True)
class SweepReport:
    """What a sweep changed: generations that ended, and the pools that have work again."""

    settled: tuple[Settled, ...]
    requeued: tuple[str, ...]
    pools: frozenset[str]


async def has_work(
    session: AsyncSession, pool: str, networks: Collection[str], now: datetime, ahead_of: Place | None = None
) -> bool:
    """Whether a claim would find something. A read, so that an idle worker takes no write lock."""
    found = select(Generation.id).where(*_claimable(pool, networks, now), *_ahead_of(ahead_of)).limit(1)
    return (await session.scalars(found)).first() is not None


async def claim(
    session: AsyncSession,
    worker_id: str,
    pool: str,
    networks: Collection[str],
    limit: int,
    now: datetime,
    lease_s: float,
    ahead_of: Place | None = None,
    *,
    ageing_s: float = AGEING_S,
) -> list[Claim]:
    """Take the best queued rows: lowest priority first, then the flow whose turn it is, then the longest queued.

    With ahead_of, only rows that come before that place, the shortest of a turn first: what a worker with a full window
    still takes. Such a row may go out of turn, so its start tag says when it went. Rows of a newer spec are left for a newer worker. One that cannot be read ends here, or it would block the
    queue for ever.
    """
    claimable = _claimable(pool, networks, now)
    await fairness.promote_aged(session, claimable, now, ageing_s)
    ids = (await session.scalars(_best(claimable, ahead_of).limit(limit).with_for_update(skip_locked=True))).all()
    if not ids:
        return []
    turns = {} if ahead_of is None else await _turns(session, claimable)
    taking = (
        update(Generation)
        .where(Generation.id.in_(ids), Generation.state == GenerationState.QUEUED)
        .values(**_taken(worker_id, now, lease_s, turns))
        .returning(
            Generation.id,
            Generation.task_id,
            Generation.attempt,
            Generation.spec,
            Generation.priority,
            Generation.queued_at,
            Generation.deadline_at,
            Generation.expected_s,
            Generation.is_suspect,
        )
    )
    rows = (await session.execute(taking, execution_options={"synchronize_session": False})).all()
    claims: list[Claim] = []
    for generation_id, task_id, attempt, text, priority, queued_at, deadline_at, expected_s, is_suspect in rows:
        try:
            spec = GenerationSpec.from_json(text)
            times = queued_at, deadline_at, expected_s
            claims.append(Claim(generation_id, task_id, attempt, spec, priority, *times, is_suspect))
        except ValidationError as error:
            unreadable = Failed(
                "invalid_spec", f"the stored request cannot be read: {error.error_count()} faults", False
            )
            await settle_failed(session, generation_id, attempt, unreadable, now, max_failures=1)
    return sorted(claims, key=lambda claim: ids.index(claim.generation_id))


def _best(claimable: Sequence[ColumnElement[bool]], ahead_of: Place | None) -> Select[str]:
    order = (Generation.queued_at,) if ahead_of is None else (Generation.expected_s, Generation.queued_at)
    best = select(Generation.id).where(*claimable, *_ahead_of(ahead_of))
    return best.order_by(Generation.priority, Generation.virtual_start, *order, Generation.id)


async def _turns(session: AsyncSession, claimable: Sequence[ColumnElement[bool]]) -> dict[int, float]:
    """The start tag whose turn it is, in each class: what a row gets that is let in before its own."""
    query = select(Generation.priority, func.min(Generation.virtual_start)).where(*claimable)
    return {row[0]: row[1] for row in await session.execute(query.group_by(Generation.priority))}


def _taken(worker_id: str, now: datetime, lease_s: float, turns: Mapping[int, float]) -> dict[str, Any]:
    """What a claim writes. A row may go before its turn where `turns` are given; then it stands for no later one."""
    values: dict[str, Any] = {
        "state": GenerationState.RUNNING,
        "attempt": Generation.attempt + 1,
        "worker_id": worker_id,
        "lease_until": now + timedelta(seconds=lease_s),
        "first_step_at": None,
        "started_at": func.coalesce(Generation.started_at, now),
    }
    if turns:
        early = [
            (and_(Generation.priority == priority, Generation.virtual_start > start), start)
            for priority, start in turns.items()
        ]
        values["virtual_start"] = case(*early, else_=Generation.virtual_start)
    return values


async def mark_first_step(session: AsyncSession, held: Sequence[Held], now: datetime) -> None:
    """From now on, losing the lease of this attempt makes the row a suspect, and counts as a failure if it was one."""
    await _change(session, and_(_owned(held), Generation.first_step_at.is_(None)), {"first_step_at": now})


async def renew(session: AsyncSession, held: Sequence[Held], now: datetime, lease_s: float) -> RenewResult:
    """Extend the leases of rows that are still this worker's, and say which are not or should stop."""
    if not held:
        return RenewResult(frozenset(), frozenset())
    extending = (
        update(Generation)
        .where(_owned(held))
        .values(lease_until=now + timedelta(seconds=lease_s))
        .returning(Generation.id, Generation.cancel_requested)
    )
    rows = (await session.execute(extending, execution_options={"synchronize_session": False})).all()
    kept = {row[0]: row[1] for row in rows}
    return RenewResult(
        lost=frozenset(generation_id for generation_id, _ in held if generation_id not in kept),
        cancelled=frozenset(generation_id for generation_id, cancelled in kept.items() if cancelled),
    )


async def hand_back(session: AsyncSession, held: Sequence[Held], now: datetime) -> None:
    """Queue rows again where they stood. Attempt and failures stay: a deploy costs nobody a retry."""
    await _change(session, _owned(held), {"state": GenerationState.QUEUED, **_UNCLAIMED})


async def settle_delivered(
    session: AsyncSession, generation_id: str, attempt: int, delivered: Delivered, now: datetime
) -> bool:
    """The picture is there: ready, and charged its price. False: the row is not this attempt's; nothing was written.

    True again when this very picture was settled before: a worker whose answer got lost asks once more.
    """
    values = {
        "state": GenerationState.READY,
        "object_key": delivered.object_key,
        "content_type": delivered.content_type,
        "sha256": delivered.sha256,
        "width": delivered.width,
        "height": delivered.height,
        "seed": delivered.seed,
        "num_bytes": delivered.num_bytes,
        "finished_at": delivered.finished_at,
        # What was drawn had begun, though a settle may overtake the note that it did.
        "first_step_at": func.coalesce(Generation.first_step_at, delivered.finished_at),
        **_UNCLAIMED,
    }
    won = await _change(session, _owned([(generation_id, attempt)]), values)
    for row in won:
        await ledger.settle(session, row.hold, row.hold.price_micro, now)
    return bool(won) or await _is_delivered(session, generation_id, delivered.object_key)


async def settle_failed(
    session: AsyncSession, generation_id: str, attempt: int, failed: Failed, now: datetime, max_failures: int
) -> bool:
    """Queue the row again, to run alone, if the failure may pass and retries are left; else end it and release its credits.

    False: the row is no longer this attempt's; nothing was written.
    """
    owned = _owned([(generation_id, attempt)])
    failures = {"failures": Generation.failures + 1}
    if failed.retryable and failed.state == GenerationState.ERROR:
        again = and_(owned, Generation.failures + 1 < max_failures)
        if await _change(
            session, again, {"state": GenerationState.QUEUED, "is_suspect": True, **failures, **_UNCLAIMED}
        ):
            return True
    return bool(await _end(session, owned, failed.state, now, code=failed.code, message=failed.message, extra=failures))


async def settle_cancelled(session: AsyncSession, generation_id: str, attempt: int, now: datetime) -> bool:
    """The worker has stopped a row that somebody cancelled. False: the row is no longer this attempt's."""
    return bool(await _end(session, _owned([(generation_id, attempt)]), GenerationState.CANCELLED, now))


async def moderate(session: AsyncSession, task_id: str, reasons: str, now: datetime) -> None:
    """End a task that is still queued because of what it asks for; what it holds is released."""
    queued = and_(Generation.task_id == task_id, Generation.state == GenerationState.QUEUED)
    await _end(session, queued, GenerationState.REQUEST_MODERATED, now, code="request_moderated", message=reasons)


async def request_cancel(session: AsyncSession, task_id: str, now: datetime) -> list[Settled]:
    """Cancel what is queued at once; ask the workers to stop what runs (they or the sweep will settle it)."""
    of_task = Generation.task_id == task_id
    cancelled = await _end(
        session, and_(of_task, Generation.state == GenerationState.QUEUED), GenerationState.CANCELLED, now
    )
    await _change(session, and_(of_task, Generation.state == GenerationState.RUNNING), {"cancel_requested": True})
    return cancelled


async def sweep_is_due(session: AsyncSession, now: datetime) -> bool:
    """Whether a sweep would change anything. A read, so that a quiet service takes no write lock."""
    due = and_(IS_ACTIVE, or_(_deadline_passed(now), _cancel_can_settle(now), _lease_lost(now)))
    return (await session.scalars(select(Generation.id).where(due).limit(1))).first() is not None


async def sweep(session: AsyncSession, now: datetime, max_failures: int) -> SweepReport:
    """End what is past its deadline or was cancelled, and give lost leases back to the queue.

    Nobody knows which of the rows that a dead worker had begun it died of. So all of them become suspects, and each runs alone
    from then on. A lease that a suspect loses after its first step is a failure; at max_failures it ends the generation.
    """
    started = Generation.first_step_at.is_not(None)
    was_alone = and_(started, Generation.is_suspect)
    exhausted = and_(_lease_lost(now), was_alone, Generation.failures + 1 >= max_failures)
    failures = {"failures": Generation.failures + case((was_alone, 1), else_=0)}
    suspects = {"is_suspect": case((started, true()), else_=Generation.is_suspect)}
    settled = await _end_picked(
        session,
        _deadline_passed(now),
        GenerationState.ERROR,
        now,
        "deadline_exceeded",
        "not finished before its deadline",
    )
    settled += await _end_picked(session, _cancel_can_settle(now), GenerationState.CANCELLED, now)
    settled += await _end_picked(
        session, exhausted, GenerationState.ERROR, now, "worker_lost", "its workers died", extra=failures
    )
    requeued = await _change(
        session,
        await _picked(session, _lease_lost(now)),
        {"state": GenerationState.QUEUED, **failures, **suspects, **_UNCLAIMED},
    )
    return SweepReport(tuple(settled), tuple(row.id for row in requeued), frozenset(row.pool for row in requeued))


@dataclass(frozen=True)
class QueueLoad:
    """What waits in one class of a pool's queue."""

    num_queued: int
    expected_s: float


async def queue_loads(session: AsyncSession, pool: str) -> dict[int, QueueLoad]:
    """Queued generations and their expected seconds, for each priority that has any."""
    query = (
        select(Generation.priority, func.count(), func.sum(Generation.expected_s))
        .where(Generation.pool == pool, Generation.state == GenerationState.QUEUED)
        .group_by(Generation.priority)
    )
    return {
        priority: QueueLoad(count, float(seconds)) for priority, count, seconds in (await session.execute(query)).all()
    }


@dataclass(frozen=True)
class _Changed:
    """What the rest of a transaction needs of a row that was just changed."""

    id: str
    task_id: str
    pool: str
    hold: ledger.Hold
    key_id: str | None


def _claimable(pool: str, networks: Collection[str], now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Generation.state == GenerationState.QUEUED,
        Generation.pool == pool,
        Generation.network.in_(sorted(networks)),
        Generation.spec_version <= SPEC_VERSION,
        Generation.deadline_at > now,
        Generation.cancel_requested.is_(False),
    )


def _ahead_of(place: Place | None) -> tuple[ColumnElement[bool], ...]:
    if place is None:
        return ()
    priority, expected_s = place
    shorter = and_(Generation.priority == priority, Generation.expected_s < expected_s)
    return (or_(Generation.priority < priority, shorter),)


def _owned(held: Iterable[Held]) -> ColumnElement[bool]:
    """The fence: rows that still run the attempt which their worker was given."""
    return and_(tuple_(Generation.id, Generation.attempt).in_(list(held)), Generation.state == GenerationState.RUNNING)


def _deadline_passed(now: datetime) -> ColumnElement[bool]:
    return and_(IS_ACTIVE, Generation.deadline_at <= now)


def _lease_lost(now: datetime) -> ColumnElement[bool]:
    return and_(Generation.state == GenerationState.RUNNING, Generation.lease_until <= now)


def _cancel_can_settle(now: datetime) -> ColumnElement[bool]:
    ownerless = or_(Generation.state == GenerationState.QUEUED, _lease_lost(now))
    return and_(IS_ACTIVE, Generation.cancel_requested.is_(True), ownerless)


async def _is_delivered(session: AsyncSession, generation_id: str, object_key: str) -> bool:
    query = select(Generation.id).where(
        Generation.id == generation_id, Generation.state == GenerationState.READY, Generation.object_key == object_key
    )
    return (await session.scalars(query)).first() is not None


async def _picked(session: AsyncSession, due: ColumnElement[bool]) -> ColumnElement[bool]:
    """Lock some due rows, never waiting for one that somebody else is changing; the condition still holds for them."""
    query = (
        select(Generation.id).where(due).order_by(Generation.id).limit(SWEEP_LIMIT).with_for_update(skip_locked=True)
    )
    return and_(Generation.id.in_((await session.scalars(query)).all()), due)


async def _end_picked(
    session: AsyncSession,
    due: ColumnElement[bool],
    state: GenerationState,
    now: datetime,
    code: str | None = None,
    message: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> list[Settled]:
    return await _end(session, await _picked(session, due), state, now, code=code, message=message, extra=extra)


async def _end(
    session: AsyncSession,
    condition: ColumnElement[bool],
    state: str,
    now: datetime,
    *,
    code: str | None = None,
    message: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> list[Settled]:
    """A final state without a picture: the rows that this call has moved there get all their credits back."""
    values = {
        "state": state,
        "finished_at": now,
        "error_code": code,
        "error_message": message,
        **_UNCLAIMED,
        **(extra or {}),
    }
    ended = await _change(session, condition, values)
    await ledger.release_all(session, [row.hold for row in ended], now)
    await _unspend(session, ended)
    return [Settled(row.id, row.task_id, state) for row in ended]


async def _unspend(session: AsyncSession, ended: Sequence[_Changed]) -> None:
    """What released rows cost counts no longer against their keys' limits. Keys come after accounts, in one order."""
    spent: dict[str, int] = {}
    for row in ended:
        if row.key_id is not None and row.hold.price_micro:
            spent[row.key_id] = spent.get(row.key_id, 0) + row.hold.price_micro
    for key_id, micro in sorted(spent.items()):
        values = {"spent_micro": ApiKey.spent_micro - micro}
        await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(**values))


async def _change(session: AsyncSession, condition: ColumnElement[bool], values: Mapping[str, Any]) -> list[_Changed]:
    """One guarded UPDATE; the rows that it returns are those whose transition this caller won."""
    changing = (
        update(Generation)
        .where(condition)
        .values(**values)
        .returning(
            Generation.id,
            Generation.task_id,
            Generation.pool,
            Generation.account_id,
            Generation.price_micro,
            Generation.key_id,
        )
    )
    rows = (await session.execute(changing, execution_options={"synchronize_session": False})).all()
    return [
        _Changed(row_id, task_id, pool, ledger.Hold(row_id, account_id, price_micro), key_id)
        for row_id, task_id, pool, account_id, price_micro, key_id in rows
    ]
