"""What operators do with accounts: open, list, change the plan, add and adjust credits. Each change leaves an event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.audit_log import Action, Actor, record
from app.accounts.plans import Plans
from app.auth import repository
from app.auth.service import open_account
from app.core import ledger
from app.core.db.tables.account import Account
from app.core.db.tables.ledger import CreditKind, LedgerEntry, LedgerTransaction, available_account
from app.core.errors import Conflict, InvalidRequest, NotFound
from app.core.ids import is_id


@dataclass(frozen=True)
class Credit:
    """Credits to add. `reference` is somebody else's name for it (a payment's id): the same one is added once.

    What is left of them at `expires_at` is lost.
    """

    kind: CreditKind
    micro: int
    reason: str
    reference: str | None = None
    expires_at: datetime | None = None


async def get_account(session: AsyncSession, account_id: str) -> Account:
    """Raises NotFound."""
    account = await session.get(Account, account_id) if is_id(account_id) else None
    if account is None:
        raise NotFound(f"there is no account {account_id!r}", field="account_id", value=account_id)
    return account


async def list_accounts(session: AsyncSession, *, after: str = "", limit: int = 100) -> Sequence[Account]:
    """By name, those that come after a name."""
    query = select(Account).where(Account.name > after).order_by(Account.name).limit(limit)
    return (await session.scalars(query)).all()


async def new_account(
    session: AsyncSession, plans: Plans, name: str, plan: str, actor: Actor, now: datetime
) -> Account:
    """Raises Conflict for a name that is taken, InvalidRequest for a plan that is none."""
    _check_plan(plans, plan)
    if await repository.account_by_name(session, name) is not None:
        raise Conflict(f"there is an account {name!r} already", field="name", value=name)
    account = await open_account(session, name, now)
    account.plan = plan
    await record(session, actor, Action.ACCOUNT_OPENED, account.id, now, detail={"name": name, "plan": plan})
    return account


async def change_plan(
    session: AsyncSession, plans: Plans, account: Account, plan: str, actor: Actor, now: datetime
) -> None:
    """From its next submit on, the account is on this plan. Raises InvalidRequest for one that is none."""
    _check_plan(plans, plan)
    detail = {"plan": plan, "was": account.plan}
    account.plan = plan
    await record(session, actor, Action.ACCOUNT_CHANGED, account.id, now, detail=detail)


async def add_credits(session: AsyncSession, account_id: str, credit: Credit, actor: Actor, now: datetime) -> bool:
    """Add credits, once for each reference of a kind. False: this reference was added before, as the same.

    Raises:
        NotFound: no such account.
        Conflict: the reference was added before, for another account or amount.
        InsufficientCredits: an adjustment takes more than there is.
        InvalidRequest: the credits would have expired before they are there.
    """
    if credit.expires_at is not None and credit.expires_at <= now:
        moment = credit.expires_at.isoformat()
        raise InvalidRequest("credits expire in the future", field="expires_at", value=moment)
    await _hold(session, account_id)
    if credit.reference is not None and await _was_added(session, account_id, credit):
        return False
    why = (credit.kind, credit.reference, actor.name, credit.reason)
    await ledger.credit(session, account_id, credit.micro, *why, now, expires_at=credit.expires_at)
    action = Action.CREDITS_ADJUSTED if credit.kind == "adjust" else Action.CREDITS_ADDED
    detail = {
        "kind": credit.kind,
        "credits_micro": credit.micro,
        "reference": credit.reference,
        "reason": credit.reason,
        "expires_at": None if credit.expires_at is None else credit.expires_at.isoformat(),
    }
    await record(session, actor, action, account_id, now, detail=detail)
    return True


async def _hold(session: AsyncSession, account_id: str) -> None:
    """Lock the account, so that the same reference is not looked for twice at once."""
    held = select(Account.id).where(Account.id == account_id).with_for_update(key_share=True)
    if not is_id(account_id) or await session.scalar(held) is None:
        raise NotFound(f"there is no account {account_id!r}", field="account_id", value=account_id)


async def _was_added(session: AsyncSession, account_id: str, credit: Credit) -> bool:
    amount = (
        select(func.coalesce(func.sum(LedgerEntry.amount_micro), 0))
        .where(LedgerEntry.transaction_id == LedgerTransaction.id)
        .where(LedgerEntry.ledger_account == available_account(account_id))
        .scalar_subquery()
    )
    query = select(LedgerTransaction.account_id, amount).where(
        LedgerTransaction.kind == credit.kind, LedgerTransaction.reference == credit.reference
    )
    found = (await session.execute(query)).first()
    if found is None:
        return False
    if tuple(found) != (account_id, credit.micro):
        raise Conflict(
            f"the {credit.kind} {credit.reference!r} was added before, for another account or amount",
            field="reference",
            value=credit.reference,
        )
    return True


def _check_plan(plans: Plans, plan: str) -> None:
    if plan not in plans.by_name:
        known = ", ".join(sorted(plans.by_name))
        raise InvalidRequest(f"there is no plan {plan!r}", field="plan", value=plan, limit=f"one of {known}")
