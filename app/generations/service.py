"""Submit: look for an earlier answer, price, admit, insert, reserve, in one transaction; then ring.

Whoever calls this answers after it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from app.core import claims, ledger
from app.core.db.prepared import Prepared
from app.core.db.sending import run, run_many
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.errors import InsufficientCredits, ModelUnavailable, ModerationUnavailable
from app.core.ids import new_id
from app.core.metrics import GENERATIONS_SUBMITTED
from app.core.spec import MAX_SEED, GenerationSpec
from app.core.states import GenerationState
from app.dependencies import Gateway, Work
from app.generations import idempotency, repository
from app.generations.expected import expected_s
from app.generations.idempotency import Answer, Retryable
from app.generations.judging import judged
from app.metering.pricing import Price, credits_text, price
from app.moderation.verdict import DEFAULT_TOLERANCE
from app.quota.admission import Admission, admit, hold
from app.webhooks import outbox
from app.webhooks.outbox import Receiver


@dataclass(frozen=True)
class Order:
    """What a dialect hands in: who asks, for what, and the body as it is to be kept."""

    account_id: str
    dialect: str
    spec: GenerationSpec
    request: dict[str, Any]
    key_id: str | None = None
    """The key that sent it; None for a caller without one."""
    retryable: Retryable | None = None
    """How to recognise the request when it is sent again; None: each time is the first."""
    safety_tolerance: int = DEFAULT_TOLERANCE
    """0 is strictest, 6 most tolerant."""
    num_images: int = 1
    """Image i has the spec's seed + i; each is priced, paid and run by itself."""
    receiver: Receiver | None = None
    """Who is told when the task has ended."""


@dataclass(frozen=True)
class Submitted:
    """What a dialect needs for its answer."""

    task_id: str
    expires_at: datetime
    price: Price
    """Of one image."""


Respond = Callable[[Submitted], Answer]
"""A dialect's answer to a submit: pure, and asked before the commit, so that it is kept with the task that it names."""


async def submit(parts: Gateway, order: Order, respond: Respond) -> Answer:
    """Queue a task's images, or answer again what the same request was answered before.

    What moderation blocks is queued and ended at once: its caller polls as for any other task, and pays nothing.
    Raises ModelUnavailable, ModerationUnavailable, QueueFull, InsufficientCredits, IdempotencyMismatch or what `admit` raises; then nothing has happened.
    """
    # Before the transaction: a classifier takes its time.
    try:
        verdict = await judged(parts, order.spec, order.safety_tolerance)
    except ModerationUnavailable:
        earlier = await _answered_before(parts, order)
        if earlier is None:
            raise
        return earlier
    now = parts.clock.utc_now()
    async with parts.work() as work:
        earlier = await _earlier_answer(work, order, now)
        if earlier is not None:
            return earlier
        submitted, pool = await work.session.run_sync(_insert, parts, order, now)
        work.ring(pool)
        if verdict.is_blocked:
            await claims.moderate(work.session, submitted.task_id, verdict.to_text(), now)
        answer = respond(submitted)
        if order.retryable is not None:
            await idempotency.keep(work.session, order.account_id, order.retryable, submitted.task_id, answer)
    GENERATIONS_SUBMITTED.labels(order.spec.model).inc(order.num_images)
    return answer


async def _answered_before(parts: Gateway, order: Order) -> Answer | None:
    """The answer to a request that needs no judgement any more."""
    async with parts.work() as work:
        return await _earlier_answer(work, order, parts.clock.utc_now())


async def _earlier_answer(work: Work, order: Order, now: datetime) -> Answer | None:
    if order.retryable is None:
        return None
    ttl = timedelta(seconds=work.settings.results.idempotency_s)
    return await idempotency.earlier_answer(work.session, order.account_id, order.retryable, now, ttl)


def _insert(session: Session, parts: Gateway, order: Order, now: datetime) -> tuple[Submitted, str]:
    """Everything that one submit writes, and its pool. One hand-over to SQLAlchemy's side of the event loop, however many statements."""
    connection, settings = session.connection(), parts.settings
    payer = hold(connection, order.account_id, order.spec.network)
    pool = _pool_of(connection, order.spec, payer.pool)
    list_price = price(order.spec, parts.price_book)
    admission = admit(connection, settings, order, payer, pool, list_price, now, order.num_images)
    cost = replace(list_price, micro=admission.charge_micro)
    task = _task(order, cost, now, timedelta(seconds=admission.plan.retention_s))
    run(connection, _INSERT_TASK, task)
    if order.receiver is not None:
        session.add(outbox.waiting(order.receiver, Task(**task)))
    deadline_at = now + timedelta(seconds=settings.queue.deadline_s)
    generations = list(_generations(order, task["id"], admission, cost, pool, now, deadline_at))
    run_many(connection, _INSERT_GENERATION, generations)
    for generation in generations:
        _reserve(connection, generation, order.num_images, now)
    return Submitted(task["id"], task["expires_at"], cost), pool


def _images(order: Order) -> Iterator[GenerationSpec]:
    """The spec of each image: one picture more is one seed on."""
    for index in range(order.num_images):
        seed = (order.spec.seed + index) % (MAX_SEED + 1)
        yield order.spec.model_copy(update={"seed": seed, "safety_tolerance": order.safety_tolerance})


def _pool_of(connection: Connection, spec: GenerationSpec, pool: str | None) -> str:
    """The pool that runs all networks of the request; `pool` has the first."""
    if len(spec.networks) > 1:
        pool = repository.pool_of(connection, spec.networks)
    if pool is None:
        missing = [one for one in spec.networks if repository.pool_of(connection, (one,)) is None]
        raise ModelUnavailable(_how_to_install(spec, missing or spec.networks))
    return pool


def _how_to_install(spec: GenerationSpec, missing: Sequence[str]) -> str:
    imports = " and ".join(f"`darkroom models import SRC --as {network}`" for network in missing)
    return (
        f"{spec.model} lacks weights on this server, or has them in several pools. Its operator installs them with {imports}, "
        "or points the name at others with DARKROOM_ALIASES"
    )


def _reserve(connection: Connection, generation: Mapping[str, Any], num_images: int, now: datetime) -> None:
    """Hold an image's price, or say what all of them cost and what there was for them."""
    account_id, micro = generation["account_id"], generation["price_micro"]
    try:
        ledger.reserve_on(connection, ledger.Hold(generation["id"], account_id, micro), now)
    except InsufficientCredits as error:
        available = int(str(error.details["available_micro"])) + generation["index"] * micro
        message = (
            f"Insufficient credits: this costs {credits_text(num_images * micro)}, "
            f"and {credits_text(available)} are available"
        )
        raise InsufficientCredits(message, required_micro=num_images * micro, available_micro=available) from error


def _task(order: Order, cost: Price, now: datetime, retention: timedelta) -> dict[str, Any]:
    """Values of the task's row."""
    return {
        "id": new_id(),
        "account_id": order.account_id,
        "model": order.spec.model,
        "network": order.spec.network,
        "dialect": order.dialect,
        "num_images": order.num_images,
        "created_at": now,
        "expires_at": now + retention,
        "cost_micro": order.num_images * cost.micro,
        "request": order.request,
    }


def _generations(
    order: Order, task_id: str, admission: Admission, cost: Price, pool: str, now: datetime, deadline_at: datetime
) -> Iterator[dict[str, Any]]:
    """Values of the rows of a task's images, one after the other in their flow."""
    seconds, weight = expected_s(order.spec), admission.plan.weight
    tags = admission.before.tags(seconds, weight)
    for index, spec in enumerate(_images(order)):
        yield {
            "id": new_id(),
            "task_id": task_id,
            "index": index,
            "account_id": order.account_id,
            "key_id": admission.key_id,
            "state": GenerationState.QUEUED.value,
            "spec": spec.to_json(),
            "spec_version": spec.version,
            "network": spec.network,
            "pool": pool,
            "seed": spec.seed,
            "width": spec.width,
            "height": spec.height,
            "priority": admission.priority,
            "flow": admission.account_id,
            "virtual_start": tags.start,
            "virtual_finish": tags.finish,
            "ages_at": admission.ages_at,
            "expected_s": seconds,
            "queued_at": now,
            "deadline_at": deadline_at,
            "attempt": 0,
            "failures": 0,
            "is_suspect": False,
            "cancel_requested": False,
            "is_free": admission.is_free,
            "price_micro": admission.charge_micro,
            "price_book_version": cost.version,
            "price_inputs": cost.inputs,
        }
        tags = tags.following(seconds, weight)


_TASK_COLUMNS = (
    "id", "account_id", "model", "network", "dialect", "num_images", "created_at", "expires_at", "cost_micro", "request",
)  # fmt: skip
_GENERATION_COLUMNS = (
    "id", "task_id", "index", "account_id", "key_id", "state", "spec", "spec_version", "network", "pool", "seed", "width",
    "height", "priority", "flow", "virtual_start", "virtual_finish", "ages_at", "expected_s", "queued_at", "deadline_at",
    "attempt", "failures", "is_suspect", "cancel_requested", "is_free", "price_micro", "price_book_version", "price_inputs",
)  # fmt: skip
_INSERT_TASK = Prepared(insert(Task), _TASK_COLUMNS)
_INSERT_GENERATION = Prepared(insert(Generation), _GENERATION_COLUMNS)
