"""The ledger: reserve, settle, credit and expire, in integer micro-credits, inside the caller's transaction. It never commits.

Double entry: an account's credits lie in customer:<id>:available and customer:<id>:held. Reserving moves the price from the
first to the second; settling moves what was captured to revenue and the rest back. Each entry names the grant that its credits
came from (app.core.grants). The account row mirrors both sums, and its guarded updates, which come first in every
transaction, are what keeps a balance from being spent twice. `verify` comes from app.core.audit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import grants
from app.core.audit import Breach as Breach
from app.core.audit import verify as verify
from app.core.db.tables.account import Account
from app.core.db.tables.ledger import (
    EXPIRED,
    GRANT_KINDS,
    REVENUE,
    SOURCES,
    CreditKind,
    LedgerEntry,
    LedgerTransaction,
    available_account,
    held_account,
)
from app.core.errors import InsufficientCredits
from app.core.grants import Draw
from app.core.grants import LedgerBroken as LedgerBroken

MICRO_PER_CREDIT = 1_000_000


@dataclass(frozen=True)
class Hold:
    """The credits that a generation keeps reserved: its price, on its account."""

    generation_id: str
    account_id: str
    price_micro: int


async def reserve(session: AsyncSession, account_id: str, generation_id: str, amount_micro: int, now: datetime) -> None:
    """Hold a generation's price.

    Raises:
        InsufficientCredits: less than the price is available (`details` say how much). The caller gives its transaction up.
    """
    _check_amount(amount_micro)
    draws: Sequence[Draw] = ()
    if amount_micro:
        await _change_account(session, account_id, held=amount_micro)
        draws = await grants.draw(session, account_id, amount_micro, now)
    reason = {"kind": "reserve", "account_id": account_id, "generation_id": generation_id, "created_at": now}
    await _write(session, reason, _moved(draws, available_account(account_id), held_account(account_id)))


async def settle(session: AsyncSession, hold: Hold, captured_micro: int, now: datetime) -> None:
    """Close a hold: what was captured becomes revenue, the rest is available again in the grants that it came from.

    The caller has just won the transition of the generation to a final state, in this transaction.
    """
    price_micro, account_id = hold.price_micro, hold.account_id
    if not 0 <= captured_micro <= price_micro:
        raise ValueError(f"captured {captured_micro} of {price_micro} micro-credits")
    draws: Sequence[Draw] = ()
    if price_micro:
        if not await _close_hold(session, hold, captured_micro):
            raise LedgerBroken(
                f"account {account_id} holds less than the {price_micro} of generation {hold.generation_id}"
            )
        draws = await grants.held_by(session, account_id, hold.generation_id)
        if sum(one.micro for one in draws) != price_micro:
            raise LedgerBroken(f"generation {hold.generation_id} reserved {draws}, not its price of {price_micro}")
    captured, released = grants.first_of(draws, captured_micro), grants.last_of(draws, captured_micro)
    await grants.put_back(session, released)
    reason = {"kind": "settle", "account_id": account_id, "generation_id": hold.generation_id, "created_at": now}
    held = held_account(account_id)
    entries = _moved(captured, held, REVENUE) + _moved(released, held, available_account(account_id))
    await _write(session, reason, entries)


async def release_all(session: AsyncSession, holds: Iterable[Hold], now: datetime) -> None:
    """Release several holds, account by account in one order, so that two such transactions cannot wait for each other."""
    for hold in sorted(holds, key=lambda hold: (hold.account_id, hold.generation_id)):
        await settle(session, hold, 0, now)


async def credit(
    session: AsyncSession,
    account_id: str,
    amount_micro: int,
    kind: CreditKind,
    reference: str | None,
    actor: str,
    reason: str,
    now: datetime,
    *,
    expires_at: datetime | None = None,
) -> None:
    """Add credits to an account, as a grant of their own; an adjustment may be negative and take some away, as a spend does.

    `reference` is unique for its kind: the same purchase cannot be credited twice. What is left at `expires_at` is lost.

    Raises:
        InsufficientCredits: a negative adjustment is larger than what is available. The caller gives its transaction up.
        sqlalchemy.exc.IntegrityError: the reference has been credited before.
    """
    if kind != "adjust":
        _check_amount(amount_micro)
    if amount_micro:
        await _change_account(session, account_id, posted=amount_micro)
    why: dict[str, Any] = {"kind": kind, "account_id": account_id, "created_at": now}
    why |= {"reference": reference, "actor": actor, "reason": reason}
    source, available = SOURCES[kind], available_account(account_id)
    if amount_micro > 0:
        grant = await grants.open_grant(session, account_id, GRANT_KINDS[kind], amount_micro, expires_at, now)
        await _write(session, why, _moved([grant], source, available))
    else:
        draws = await grants.draw(session, account_id, -amount_micro, now) if amount_micro else ()
        await _write(session, why, _moved(draws, available, source))


async def expire(session: AsyncSession, account_id: str, now: datetime) -> int:
    """End the account's grants whose time is over. Returns the micro-credits that were left in them."""
    await session.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
    ended = await grants.end_expired(session, account_id, now)
    total_micro = sum(one.micro for one in ended)
    if total_micro:
        await _change_account(session, account_id, posted=-total_micro)
        reason = {"kind": "expire", "account_id": account_id, "created_at": now}
        await _write(session, reason, _moved(ended, available_account(account_id), EXPIRED))
    return total_micro


def _check_amount(amount_micro: int) -> None:
    if amount_micro < 0:
        raise ValueError(f"{amount_micro} micro-credits: an amount is not negative")


async def _change_account(session: AsyncSession, account_id: str, *, posted: int = 0, held: int = 0) -> None:
    """Change what the account has and holds, unless it would have less than it holds."""
    changing = (
        update(Account)
        .where(Account.id == account_id, Account.posted_micro - Account.held_micro >= held - posted)
        .values(posted_micro=Account.posted_micro + posted, held_micro=Account.held_micro + held)
        .returning(Account.id)
        .execution_options(synchronize_session=False)
    )
    if (await session.scalars(changing)).first() is None:
        available = select(Account.posted_micro - Account.held_micro).where(Account.id == account_id)
        raise InsufficientCredits(
            "not enough credits for this request",
            required_micro=held - posted,
            available_micro=await session.scalar(available) or 0,
        )


async def _close_hold(session: AsyncSession, hold: Hold, captured_micro: int) -> bool:
    closing = (
        update(Account)
        .where(Account.id == hold.account_id, Account.held_micro >= hold.price_micro)
        .values(
            held_micro=Account.held_micro - hold.price_micro,
            posted_micro=Account.posted_micro - captured_micro,
        )
        .returning(Account.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.scalars(closing)).first() is not None


def _moved(draws: Iterable[Draw], source: str, target: str) -> list[dict[str, Any]]:
    """Entries that move these credits from one ledger account to another."""
    return [
        {"ledger_account": name, "grant_id": one.grant_id, "amount_micro": micro}
        for one in draws
        for name, micro in ((source, -one.micro), (target, one.micro))
    ]


async def _write(session: AsyncSession, transaction: dict[str, Any], entries: Iterable[dict[str, Any]]) -> None:
    """Append one transaction and its entries."""
    adding = insert(LedgerTransaction).values(transaction).returning(LedgerTransaction.id)
    transaction_id = (await session.scalars(adding)).one()
    rows = [{"transaction_id": transaction_id, **entry} for entry in entries]
    if rows:
        await session.execute(insert(LedgerEntry), rows)
