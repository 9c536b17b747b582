"""Whether a submit is admitted, at what charge and to which place in the queue: decided inside the submit's own transaction.

`admit` holds the account's row from here to the commit. So two submits of one account are decided one after the other, and every
count below is exact on both databases.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import select

from app.accounts.plans import PAID_CLASS, Plan, Plans, Quota
from app.core import fairness
from app.core.db.tables.account import Account
from app.core.errors import InsufficientCredits, NotPermitted, QuotaUsedUp, TooManyActive
from app.core.fairness import Lane
from app.core.spec import GenerationSpec
from app.dependencies import Work
from app.limits.standing import Standing, note
from app.metering.pricing import Price, credits_text
from app.quota.active_tasks import num_active
from app.quota.free_images import Usage, Window, is_anonymous_day_full, usage
from app.quota.spending import spend

RETRY_ACTIVE_S = 1.0


class OrderLike(Protocol):
    """What is looked at of an order. `key_id` is None for a caller without a key."""

    @property
    def account_id(self) -> str: ...

    @property
    def key_id(self) -> str | None: ...

    @property
    def spec(self) -> GenerationSpec: ...


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

    async def columns(self, work: Work, pool: str, spec: GenerationSpec, expected_s: float) -> dict[str, Any]:
        """Values of the generation's row that follow from it. Ask and insert for one image after the other."""
        lane = Lane(pool, self.priority, spec.network)
        tags = await fairness.tags(work.session, lane, self.account_id, expected_s, self.plan.weight)
        return {
            "key_id": self.key_id,
            "priority": self.priority,
            "flow": self.account_id,
            "virtual_start": tags.start,
            "virtual_finish": tags.finish,
            "ages_at": self.ages_at,
            "is_free": self.is_free,
            "price_micro": self.charge_micro,
        }


async def admit(work: Work, order: OrderLike, cost: Price, now: datetime, num_images: int = 1) -> Admission:
    """Admit a task of so many images at this price each.

    Raises:
        TooManyActive: as many tasks are unfinished as the plan or the model allows.
        QuotaUsedUp: the free images are taken, and there are no credits to go on with.
        NotPermitted: a caller without a key wants what is not free.
        InsufficientCredits: an account on a free plan wants what is not free, and cannot pay.
        SpendingLimitReached: the key's owner has set a limit, and this passes it.
    """
    account = await _hold(work, order.account_id)
    plan = Plans(work.settings).of(account.plan)
    await _check_active(work, order, plan)
    is_free = plan.quota is not None and await _is_free(work, order, account, plan.quota, cost, now, num_images)
    charge_micro = 0 if is_free else cost.micro
    if order.key_id is not None:
        await spend(work.session, order.key_id, num_images * charge_micro)
    priority = plan.priority if is_free or plan.quota is None else PAID_CLASS
    ages_at = now + timedelta(seconds=work.settings.queue.ageing_s) if priority > fairness.TOP_CLASS else None
    return Admission(account.id, order.key_id, plan, priority, charge_micro, is_free, ages_at)


async def _hold(work: Work, account_id: str) -> Account:
    """The account's row, locked on PostgreSQL until the commit; on SQLite the transaction excludes other writers."""
    query = select(Account).where(Account.id == account_id).with_for_update(key_share=True)
    return (await work.session.scalars(query, execution_options={"populate_existing": True})).one()


async def _check_active(work: Work, order: OrderLike, plan: Plan) -> None:
    model = order.spec.model
    limit_of_model = work.settings.limits.active_by_model.get(model, plan.max_active)
    active, active_of_model = await num_active(work.session, order.account_id, model)
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


async def _is_free(
    work: Work, order: OrderLike, account: Account, quota: Quota, cost: Price, now: datetime, num_images: int
) -> bool:
    """Free, or (False) to be paid; raises when it is neither."""
    can_pay = account.posted_micro - account.held_micro >= num_images * cost.micro
    if not quota.covers(order.spec.model, order.spec.width * order.spec.height):
        if can_pay:
            return False
        raise _not_free(order, quota, cost)
    used = await usage(work.session, account.id, quota, now)
    for one in used:
        _tell(one, num_images, now)
    short = next((one for one in used if one.remaining < num_images), None)
    if short is None:
        if order.key_id is None:
            await _check_all_without_a_key(work, used[0].window, num_images, now)
        return True
    if can_pay and cost.micro > 0:
        return False
    raise _used_up(short, order, now)


async def _check_all_without_a_key(work: Work, day: Window, num_images: int, now: datetime) -> None:
    """Many networks are cheap to have: what they take together is bounded, too."""
    of_all = replace(day, limit=work.settings.free.anonymous_images_per_day_in_all)
    if await is_anonymous_day_full(work.session, of_all, num_images):
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
