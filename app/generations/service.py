"""Submit: look for an earlier answer, price, admit, look at the queue, reserve, insert, in one transaction; then ring.

Whoever calls this answers after it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from app.core import claims, ledger
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.errors import InsufficientCredits, ModelUnavailable, QueueFull
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
from app.quota.admission import Admission, admit
from app.webhooks import outbox
from app.webhooks.outbox import Receiver

RETRY_QUEUE_FULL_S = 5.0


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
    verdict = await judged(parts, order.spec, order.safety_tolerance)
    now = parts.clock.utc_now()
    async with parts.work() as work:
        earlier = await _earlier_answer(work, order, now)
        if earlier is not None:
            return earlier
        submitted = await _insert(parts, work, order, now)
        if verdict.is_blocked:
            await claims.moderate(work.session, submitted.task_id, verdict.to_text(), now)
        answer = respond(submitted)
        if order.retryable is not None:
            await idempotency.keep(work.session, order.account_id, order.retryable, submitted.task_id, answer)
    GENERATIONS_SUBMITTED.labels(order.spec.model).inc(order.num_images)
    return answer


async def _earlier_answer(work: Work, order: Order, now: datetime) -> Answer | None:
    if order.retryable is None:
        return None
    ttl = timedelta(seconds=work.settings.results.idempotency_s)
    return await idempotency.earlier_answer(work.session, order.account_id, order.retryable, now, ttl)


async def _insert(parts: Gateway, work: Work, order: Order, now: datetime) -> Submitted:
    pool = await _pool_of(work, order.spec)
    list_price = price(order.spec, parts.price_book)
    admission = await admit(work, order, list_price, now, order.num_images)
    await _require_room(work, pool, admission.priority, order.num_images)
    cost = replace(list_price, micro=admission.charge_micro)
    task = _task(order, cost, now, timedelta(seconds=admission.plan.retention_s))
    work.session.add(task)
    await work.session.flush()
    if order.receiver is not None:
        work.session.add(outbox.waiting(order.receiver, task))
    deadline = timedelta(seconds=parts.settings.queue.deadline_s)
    for index, spec in enumerate(_images(order)):
        generation = await _generation(work, admission, task, index, pool, spec, cost, now, deadline)
        work.session.add(generation)
        await work.session.flush()
        await _reserve(work, generation, order.num_images, now)
    work.ring(pool)
    return Submitted(task.id, task.expires_at, cost)


def _images(order: Order) -> Iterator[GenerationSpec]:
    """The spec of each image: one picture more is one seed on."""
    for index in range(order.num_images):
        seed = (order.spec.seed + index) % (MAX_SEED + 1)
        yield order.spec.model_copy(update={"seed": seed, "safety_tolerance": order.safety_tolerance})


async def _pool_of(work: Work, spec: GenerationSpec) -> str:
    pool = await repository.pool_of(work.session, spec.networks)
    if pool is None:
        missing = [one for one in spec.networks if await repository.pool_of(work.session, (one,)) is None]
        raise ModelUnavailable(_how_to_install(spec, missing or spec.networks))
    return pool


async def _require_room(work: Work, pool: str, priority: int, num_images: int) -> None:
    most = work.settings.queue.max_queued
    if await repository.num_queued(work.session, pool, priority, most) + num_images > most:
        message = f"{most} generations are waiting already, as many as this server queues; try again later"
        raise QueueFull(message, retry_after_s=RETRY_QUEUE_FULL_S)


def _how_to_install(spec: GenerationSpec, missing: Sequence[str]) -> str:
    imports = " and ".join(f"`darkroom models import SRC --as {network}`" for network in missing)
    return (
        f"{spec.model} lacks weights on this server, or has them in several pools. Its operator installs them with {imports}, "
        "or points the name at others with DARKROOM_ALIASES"
    )


async def _reserve(work: Work, generation: Generation, num_images: int, now: datetime) -> None:
    """Hold an image's price, or say what all of them cost and what there was for them."""
    account_id, micro = generation.account_id, generation.price_micro
    try:
        await ledger.reserve(work.session, account_id, generation.id, micro, now)
    except InsufficientCredits as error:
        available = int(str(error.details["available_micro"])) + generation.index * micro
        message = (
            f"Insufficient credits: this costs {credits_text(num_images * micro)}, "
            f"and {credits_text(available)} are available"
        )
        raise InsufficientCredits(message, required_micro=num_images * micro, available_micro=available) from error


def _task(order: Order, cost: Price, now: datetime, retention: timedelta) -> Task:
    return Task(
        id=new_id(),
        account_id=order.account_id,
        model=order.spec.model,
        network=order.spec.network,
        dialect=order.dialect,
        num_images=order.num_images,
        created_at=now,
        expires_at=now + retention,
        cost_micro=order.num_images * cost.micro,
        request=order.request,
    )


async def _generation(
    work: Work,
    admission: Admission,
    task: Task,
    index: int,
    pool: str,
    spec: GenerationSpec,
    cost: Price,
    now: datetime,
    deadline: timedelta,
) -> Generation:
    seconds = expected_s(spec)
    return Generation(
        id=new_id(),
        task_id=task.id,
        index=index,
        account_id=task.account_id,
        state=GenerationState.QUEUED,
        spec=spec.to_json(),
        spec_version=spec.version,
        network=spec.network,
        pool=pool,
        seed=spec.seed,
        width=spec.width,
        height=spec.height,
        expected_s=seconds,
        queued_at=now,
        deadline_at=now + deadline,
        price_book_version=cost.version,
        price_inputs=cost.inputs,
        **await admission.columns(work, pool, spec, seconds),
    )
