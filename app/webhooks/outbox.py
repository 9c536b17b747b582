"""Rows of webhooks: written with the task, ripe once it has ended, closed by what the receiver said.

A row waits from the submit on, and the settle itself makes it ripe: no statement more in a settle, nothing that could be lost between.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.db.tables.webhook import Webhook, WebhookAttempt
from app.core.ids import new_id
from app.core.states import ACTIVE_STATES
from app.webhooks.schedule import Next


@dataclass(frozen=True)
class Receiver:
    """Who wants to be told. `secret` None: the account's own signs. `public_url`: where the links in the body lead."""

    url: str
    secret: str | None
    public_url: str


def waiting(receiver: Receiver, task: Task) -> Webhook:
    """The row for a task that is being submitted."""
    return Webhook(
        id=new_id(),
        task_id=task.id,
        account_id=task.account_id,
        url=receiver.url,
        secret=receiver.secret,
        public_url=receiver.public_url,
        state="waiting",
        num_attempts=0,
        created_at=task.created_at,
    )


async def ripe(
    session: AsyncSession, now: datetime, but: Collection[str], busy: Collection[str], limit: int
) -> Sequence[Webhook]:
    """What is to be sent now: account by account in turn, and of each those that were never tried first, then the oldest.

    Args:
        session: reads.
        now: what waits for a later moment is left.
        but: webhooks that are being sent.
        busy: accounts that have as many under way as they may.
        limit: how many at most.
    """
    active = exists().where(Generation.task_id == Webhook.task_id, Generation.state.in_(sorted(ACTIVE_STATES)))
    due = or_(Webhook.next_at <= now, and_(Webhook.next_at.is_(None), ~active))
    order = (Webhook.num_attempts, Webhook.created_at, Webhook.id)
    turn = func.row_number().over(partition_by=Webhook.account_id, order_by=order).label("turn")
    free = Webhook.id.not_in(list(but)), Webhook.account_id.not_in(list(busy))
    turns = select(Webhook.id, turn).where(Webhook.state == "waiting", due, *free).subquery()
    found = select(Webhook).join(turns, turns.c.id == Webhook.id).order_by(turns.c.turn, *order)
    return (await session.scalars(found.limit(limit))).all()


async def fix_body(session: AsyncSession, webhook_id: str, body: str) -> None:
    """What every attempt sends."""
    await session.execute(update(Webhook).where(Webhook.id == webhook_id, Webhook.body.is_(None)).values(body=body))


async def record(
    session: AsyncSession, sent: Webhook, following: Next, status: int | None, error: str | None, now: datetime
) -> None:
    """Write an attempt down, unless another gateway has told of this one already."""
    next_at = None if following.delay_s is None else now + timedelta(seconds=following.delay_s)
    won = await session.scalar(
        update(Webhook)
        .where(Webhook.id == sent.id, Webhook.num_attempts == sent.num_attempts)
        .values(num_attempts=sent.num_attempts + 1, state=following.state, next_at=next_at)
        .returning(Webhook.id)
    )
    if won is not None:
        session.add(WebhookAttempt(webhook_id=sent.id, at=now, status=status, error=error))


async def own(session: AsyncSession, account_id: str, limit: int) -> Sequence[Webhook]:
    """An account's latest."""
    found = select(Webhook).where(Webhook.account_id == account_id)
    return (await session.scalars(found.order_by(Webhook.created_at.desc(), Webhook.id).limit(limit))).all()


async def attempts(session: AsyncSession, webhook_ids: Sequence[str]) -> Sequence[WebhookAttempt]:
    """The log of these, oldest first."""
    found = select(WebhookAttempt).where(WebhookAttempt.webhook_id.in_(webhook_ids))
    return (await session.scalars(found.order_by(WebhookAttempt.id))).all()


async def send_again(session: AsyncSession, account_id: str, webhook_id: str, now: datetime) -> bool:
    """Make an own webhook whose body is still there due now. False where there is none."""
    mine = (Webhook.id == webhook_id, Webhook.account_id == account_id, Webhook.body.is_not(None))
    again = update(Webhook).where(*mine).values(state="waiting", next_at=now).returning(Webhook.id)
    return await session.scalar(again) is not None
