"""The ledger: reserve, settle and credit, in integer micro-credits, inside the caller's transaction. It never commits.

Double entry: an account's credits lie in customer:<id>:available and customer:<id>:held. Reserving moves the price from the
first to the second; settling moves what was captured to revenue and the rest back. The account row mirrors both sums, and
its guarded updates are what keeps a balance from being spent twice. `verify` comes from app.core.audit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.audit import Breach as Breach
from app.core.audit import verify as verify
from app.core.db.tables.account import Account
from app.core.db.tables.ledger import (
    REVENUE,
    SOURCES,
    CreditKind,
    LedgerEntry,
    LedgerTransaction,
    available_account,
    held_account,
)
from app.core.errors import InsufficientCredits

MICRO_PER_CREDIT = 1_000_000


class LedgerBroken(Exception):
    """The stored balances contradict the entries. Nothing is written; somebody has to look."""


@dataclass(frozen=True)
class Hold:
    """The credits that a generation keeps reserved: its price, on its account."""

    generation_id: str
    account_id: str
    price_micro: int


async def reserve(session: AsyncSession, account_id: str, generation_id: str, amount_micro: int, now: datetime) -> None:
    """Hold a generation's price.

    Raises:
        InsufficientCredits: less than the price is available. Nothing was written.
    """
    _check_amount(amount_micro)
    holding = (
        update(Account)
        .where(Account.id == account_id, Account.posted_micro - Account.held_micro >= amount_micro)
        .values(held_micro=Account.held_micro + amount_micro)
        .returning(Account.id)
    )
    if (await session.scalars(holding)).first() is None:
        raise InsufficientCredits("not enough credits for this request", required_micro=amount_micro)
    await _write(
        session,
        LedgerTransaction(kind="reserve", account_id=account_id, generation_id=generation_id, created_at=now),
        [(available_account(account_id), -amount_micro), (held_account(account_id), amount_micro)],
    )


async def settle(session: AsyncSession, hold: Hold, captured_micro: int, now: datetime) -> None:
    """Close a hold: what was captured becomes revenue, the rest is available again.

    The caller has just won the transition of the generation to a final state, in this transaction.
    """
    price_micro, account_id = hold.price_micro, hold.account_id
    if not 0 <= captured_micro <= price_micro:
        raise ValueError(f"captured {captured_micro} of {price_micro} micro-credits")
    closing = (
        update(Account)
        .where(Account.id == account_id, Account.held_micro >= price_micro)
        .values(
            held_micro=Account.held_micro - price_micro,
            posted_micro=Account.posted_micro - captured_micro,
        )
        .returning(Account.id)
    )
    if (await session.scalars(closing)).first() is None:
        raise LedgerBroken(f"account {account_id} holds less than the {price_micro} of generation {hold.generation_id}")
    await _write(
        session,
        LedgerTransaction(kind="settle", account_id=account_id, generation_id=hold.generation_id, created_at=now),
        [
            (held_account(account_id), -price_micro),
            (REVENUE, captured_micro),
            (available_account(account_id), price_micro - captured_micro),
        ],
    )


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
) -> None:
    """Add credits to an account; an adjustment may be negative and take some away.

    `reference` is unique for its kind: the same purchase cannot be credited twice.

    Raises:
        InsufficientCredits: a negative adjustment is larger than what is available.
        sqlalchemy.exc.IntegrityError: the reference has been credited before.
    """
    if kind != "adjust":
        _check_amount(amount_micro)
    adding = (
        update(Account)
        .where(Account.id == account_id, Account.posted_micro - Account.held_micro + amount_micro >= 0)
        .values(posted_micro=Account.posted_micro + amount_micro)
        .returning(Account.id)
    )
    if (await session.scalars(adding)).first() is None:
        raise InsufficientCredits(
            "the account has fewer credits than the adjustment takes", required_micro=-amount_micro
        )
    await _write(
        session,
        LedgerTransaction(
            kind=kind, account_id=account_id, reference=reference, actor=actor, reason=reason, created_at=now
        ),
        [(SOURCES[kind], -amount_micro), (available_account(account_id), amount_micro)],
    )


def _check_amount(amount_micro: int) -> None:
    if amount_micro < 0:
        raise ValueError(f"{amount_micro} micro-credits: an amount is not negative")


async def _write(session: AsyncSession, transaction: LedgerTransaction, entries: list[tuple[str, int]]) -> None:
    """Append one transaction; entries of nothing are left out."""
    session.add(transaction)
    await session.flush()
    rows = [
        {"transaction_id": transaction.id, "ledger_account": name, "amount_micro": amount_micro}
        for name, amount_micro in entries
        if amount_micro != 0
    ]
    if rows:
        await session.execute(insert(LedgerEntry), rows)
