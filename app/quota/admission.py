"""Whether a submit is admitted, at what charge and to which place in the queue: decided inside the submit's own transaction.

`hold` locks the account's row until the commit. So two submits of one account are decided one after the other, and every
count below is exact on both databases. Two statements ask all that most submits need to know: one that holds, one that counts.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, Integer, bindparam, func, select

from app.accounts.plans import PAID_CLASS, Plan, Plans, Quota
from app.core import fairness
from app.core.config import Settings
from app.core.db.prepared import Prepared
from app.core.db.sending import run
from app.core.db.tables.account import Account
from app.core.db.tables.generation import IS_QUEUED, Generation
from app.core.db.tables.worker import Registration
from app.core.errors import InsufficientCredits, NotPermitted, QueueFull, QuotaUsedUp, TooManyActive
from app.core.fairness import BEFORE, Before
from app.core.spec import GenerationSpec
from app.limits.standing import Standing, note
from app.metering.pricing import Price, credits_text
from app.quota.active_tasks import ACTIVE
from app.quota.free_images import Usage, Window, is_anonymous_day_full, usage_on
from app.quota.spending import spend

RETRY_ACTIVE_S = 1.0
RETRY_QUEUE_FULL_S = 5.0


class OrderLike(Protocol):
    """What is looked at of an order. `key_id` is None for a caller without a key."""

    @property
    def account_id(self) -> str: ...

    @property
    def key_id(self) -> str | None: ...

    @property
    def spec(self) -> GenerationSpec: ...


@dataclass(frozen=True)
class Payer:
    """The account's row, locked, and the pool that has registered what is to run: None when none has."""

    id: str
    plan: str
    posted_micro: int
    held_micro: int
    pool: str | None

    def can_pay(self, micro: int) -> bool:
        return self.posted_micro - self.held_micro >= micro


@dataclass(frozen=True)
class Admission:
    """The decision. `charge_micro` is what is held and captured for each image: nothing for a free one, else the price."""

    account_id: str
    key_id: str | None
    plan: Plan
    priority: int
    charge_micro: int
    is_free: bool
    ages_at: datetime | None
    before: Before
    """What the first image's place in the queue comes after."""


@dataclass(frozen=True)
class _Counts:
    """What a class of the queue and the account's unfinished tasks look like."""

    active: int
    active_of_model: int
    queued: int
    before: Before


def hold(connection: Connection, account_id: str, network: str) -> Payer:
    """The account, locked on PostgreSQL until the commit; on SQLite the transaction excludes other writers."""
    ((*found,),) = run(connection, _HOLD, {"account": account_id, "network": network})
    return Payer(*found)


def admit(
    connection: Connection,
    settings: Settings,
    order: OrderLike,
    payer: Payer,
    pool: str,
    cost: Price,
    now: datetime,
    num_images: int = 1,
) -> Admission:
    """Admit a task of so many images at this price each.

    Raises:
        TooManyActive: as many tasks are unfinished as the plan or the model allows.
        QuotaUsedUp: the free images are taken, and there are no credits to go on with.
        NotPermitted: a caller without a key wants what is not free.
        InsufficientCredits: an account on a free plan wants what is not free, and cannot pay.
        SpendingLimitReached: the key's owner has set a limit, and this passes it.
        QueueFull: too much waits in the pool already.
    """
    plan = Plans(settings).of(payer.plan)
    counts = _count(connection, settings, order, pool, plan.priority)
    _check_active(settings, order, plan, counts)
    is_free = plan.quota is not None and _is_free(connection, settings, order, payer, plan.quota, cost, now, num_images)
    charge_micro = 0 if is_free else cost.micro
    if order.key_id is not None:
        spend(connection, order.key_id, num_images * charge_micro)
    priority = plan.priority if is_free or plan.quota is None else PAID_CLASS
    if priority != plan.priority:  # a free plan's account that pays goes into another class than was counted
        counts = _count(connection, settings, order, pool, priority)
    _check_room(settings, counts, num_images)
    ages_at = now + timedelta(seconds=settings.queue.ageing_s) if priority > fairness.TOP_CLASS else None
    return Admission(payer.id, order.key_id, plan, priority, charge_micro, is_free, ages_at, counts.before)


def _count(connection: Connection, settings: Settings, order: OrderLike, pool: str, priority: int) -> _Counts:
    asked = {
        "account": order.account_id,
        "model": order.spec.model,
        "pool": pool,
        "priority": priority,
        "network": order.spec.network,
        "flow": order.account_id,
        "most": settings.queue.max_queued,
    }
    ((active, active_of_model, queued, *before),) = run(connection, _COUNTS, asked)
    return _Counts(active, active_of_model, queued, Before(*before))


def _check_active(settings: Settings, order: OrderLike, plan: Plan, counts: _Counts) -> None:
    model = order.spec.model
    limit_of_model = settings.limits.active_by_model.get(model, plan.max_active)
    active, active_of_model = counts.active, counts.active_of_model
    note(Standing("active", plan.max_active, plan.max_active - active - 1, unit="concurrent-requests"))
    if active >= plan.max_active:
        raise TooManyActive(
            f"{active} tasks are unfinished, as many as this account may have; wait for one to finish",
            limit=plan.max_active,
            retry_after_s=RETRY_ACTIVE_S,
        )
    if active_of_model >= limit_of_model:
        raise TooManyActive(
            f"{active_of_model} tasks of {model} are unfinished, as many as an account may have; wait for one to finish",
            limit=limit_of_model,
            retry_after_s=RETRY_ACTIVE_S,
        )


def _check_room(settings: Settings, counts: _Counts, num_images: int) -> None:
    most = settings.queue.max_queued
    if counts.queued + num_images > most:
        message = f"{most} generations are waiting already, as many as this server queues; try again later"
        raise QueueFull(message, retry_after_s=RETRY_QUEUE_FULL_S)


def _is_free(
    connection: Connection,
    settings: Settings,
    order: OrderLike,
    payer: Payer,
    quota: Quota,
    cost: Price,
    now: datetime,
    num_images: int,
) -> bool:
    """Free, or (False) to be paid; raises when it is neither."""
    can_pay = payer.can_pay(num_images * cost.micro)
    if not quota.covers(order.spec.model, order.spec.width * order.spec.height):
        if can_pay:
            return False
        raise _not_free(order, quota, cost)
    used = usage_on(connection, payer.id, quota, now)
    for one in used:
        _tell(one, num_images, now)
    short = next((one for one in used if one.remaining < num_images), None)
    if short is None:
        if order.key_id is None:
            _check_all_without_a_key(connection, settings, used[0].window, num_images, now)
        return True
    if can_pay and cost.micro > 0:
        return False
    raise _used_up(short, order, now)


def _check_all_without_a_key(
    connection: Connection, settings: Settings, day: Window, num_images: int, now: datetime
) -> None:
    """Many networks are cheap to have: what they take together is bounded, too."""
    of_all = replace(day, limit=settings.free.anonymous_images_per_day_in_all)
    if is_anonymous_day_full(connection, of_all, num_images):
        raise QuotaUsedUp(
            f"the {of_all.limit} images a day for callers without a key are taken; they renew at "
            f"{day.renews:%Y-%m-%dT%H:%M:%SZ}. With an API key you can go on now.",
            retry_after_s=(day.renews - now).total_seconds(),
        )


def _tell(used: Usage, num_images: int, now: datetime) -> None:
    window = used.window
    length_s = round((window.renews - window.begins).total_seconds())
    renews_s = round((window.renews - now).total_seconds())
    left = used.remaining - num_images if used.remaining >= num_images else used.remaining
    note(Standing(window.name, window.limit, left, length_s, renews_s, "images"))


def _used_up(short: Usage, order: OrderLike, now: datetime) -> QuotaUsedUp:
    window = short.window
    rest = "none is left" if short.remaining == 0 else f"{short.remaining} are left"
    key = " With an API key you can go on now." if order.key_id is None else ""
    return QuotaUsedUp(
        f"{window.limit} images a {window.name} are free, and {rest}; they renew at {window.renews:%Y-%m-%dT%H:%M:%SZ}.{key}",
        retry_after_s=(window.renews - now).total_seconds(),
    )


def _not_free(order: OrderLike, quota: Quota, cost: Price) -> NotPermitted | InsufficientCredits:
    models = ", ".join(sorted(quota.models)) or "all models"
    text = f"free images are {models} up to {quota.max_pixels} pixels; this one costs {credits_text(cost.micro)}"
    if order.key_id is None:
        return NotPermitted(f"{text}, which takes an API key")
    return InsufficientCredits(text, required_micro=cost.micro)


_POOL = (
    select(Registration.pool)
    .where(Registration.network == bindparam("network"))
    .order_by(Registration.last_seen_at.desc())
    .limit(1)
)
_HOLD = Prepared(
    select(Account.id, Account.plan, Account.posted_micro, Account.held_micro, _POOL.scalar_subquery())
    .where(Account.id == bindparam("account"))
    .with_for_update(key_share=True, of=Account)
)
_WAITING = (
    select(Generation.id)
    .where(IS_QUEUED, Generation.pool == bindparam("pool"), Generation.priority == bindparam("priority"))
    .limit(bindparam("most", type_=Integer))
)
_COUNTS = Prepared(select(*ACTIVE, select(func.count()).select_from(_WAITING.subquery()).scalar_subquery(), *BEFORE))
"""After the lock, in a statement of its own: PostgreSQL's counts are of the moment at which their statement begins."""
