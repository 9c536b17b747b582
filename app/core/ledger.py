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

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.core import grants
from app.core.audit import Breach as Breach
from app.core.audit import verify as verify
from app.core.db.prepared import Prepared
from app.core.db.sending import run, run_many
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
    await session.run_sync(_reserve, Hold(generation_id, account_id, amount_micro), now)


def _reserve(session: Session, hold: Hold, now: datetime) -> None:
    reserve_on(_connection(session), hold, now)


def reserve_on(connection: Connection, hold: Hold, now: datetime) -> None:
    """`reserve` for a caller that has the transaction's connection in hand; the generation's row is in the database."""
    account_id = hold.account_id
    draws: Sequence[Draw] = ()
    if hold.price_micro:
        _change_account(connection, account_id, held=hold.price_micro)
        draws = grants.draw(connection, account_id, hold.price_micro, now)
    entries = _moved(draws, available_account(account_id), held_account(account_id))
    _write(connection, _reason("reserve", account_id, now, generation_id=hold.generation_id), entries)


async def settle(session: AsyncSession, hold: Hold, captured_micro: int, now: datetime) -> None:
    """Close a hold: what was captured becomes revenue, the rest is available again in the grants that it came from.

    The caller has just won the transition of the generation to a final state, in this transaction.
    """
    if not 0 <= captured_micro <= hold.price_micro:
        raise ValueError(f"captured {captured_micro} of {hold.price_micro} micro-credits")
    await session.run_sync(_settle, hold, captured_micro, now)


def _settle(session: Session, hold: Hold, captured_micro: int, now: datetime) -> None:
    connection, account_id = _connection(session), hold.account_id
    draws = _closed(connection, hold, captured_micro) if hold.price_micro else ()
    captured, released = grants.first_of(draws, captured_micro), grants.last_of(draws, captured_micro)
    grants.put_back(connection, released)
    held = held_account(account_id)
    entries = _moved(captured, held, REVENUE) + _moved(released, held, available_account(account_id))
    _write(connection, _reason("settle", account_id, now, generation_id=hold.generation_id), entries)


def _closed(connection: Connection, hold: Hold, captured_micro: int) -> Sequence[Draw]:
    """What was held, in the order in which it was drawn; the account holds it no longer."""
    values = {"account": hold.account_id, "held": hold.price_micro, "captured": captured_micro}
    if not run(connection, _CLOSE, values):
        price = hold.price_micro
        raise LedgerBroken(f"account {hold.account_id} holds less than the {price} of generation {hold.generation_id}")
    draws = grants.held_by(connection, hold.generation_id)
    if sum(one.micro for one in draws) != hold.price_micro:
        raise LedgerBroken(f"generation {hold.generation_id} reserved {draws}, not its price of {hold.price_micro}")
    return draws


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
    why = _reason(kind, account_id, now, reference=reference, actor=actor, reason=reason)
    await session.run_sync(_credit, account_id, amount_micro, kind, why, expires_at)


def _credit(
    session: Session,
    account_id: str,
    amount_micro: int,
    kind: CreditKind,
    why: dict[str, Any],
    expires_at: datetime | None,
) -> None:
    connection, now = _connection(session), why["created_at"]
    source, available = SOURCES[kind], available_account(account_id)
    if amount_micro:
        _change_account(connection, account_id, posted=amount_micro)
    if amount_micro > 0:
        grant = grants.open_grant(connection, account_id, GRANT_KINDS[kind], amount_micro, expires_at, now)
        _write(connection, why, _moved([grant], source, available))
    else:
        draws = grants.draw(connection, account_id, -amount_micro, now) if amount_micro else ()
        _write(connection, why, _moved(draws, available, source))


async def expire(session: AsyncSession, account_id: str, now: datetime) -> int:
    """End the account's grants whose time is over. Returns the micro-credits that were left in them."""
    return await session.run_sync(_expire, account_id, now)


def _expire(session: Session, account_id: str, now: datetime) -> int:
    connection = _connection(session)
    connection.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
    ended = grants.end_expired(connection, account_id, now)
    total_micro = sum(one.micro for one in ended)
    if total_micro:
        _change_account(connection, account_id, posted=-total_micro)
        entries = _moved(ended, available_account(account_id), EXPIRED)
        _write(connection, _reason("expire", account_id, now), entries)
    return total_micro


def _connection(session: Session) -> Connection:
    """The transaction's connection, once the rows that this session has made are in the database."""
    session.flush()
    return session.connection()


def _check_amount(amount_micro: int) -> None:
    if amount_micro < 0:
        raise ValueError(f"{amount_micro} micro-credits: an amount is not negative")


def _change_account(connection: Connection, account_id: str, *, posted: int = 0, held: int = 0) -> None:
    """Change what the account has and holds, unless it would have less than it holds."""
    values = {"account": account_id, "posted": posted, "held": held, "taken": held - posted}
    if not run(connection, _CHANGE, values):
        available = select(Account.posted_micro - Account.held_micro).where(Account.id == account_id)
        raise InsufficientCredits(
            "not enough credits for this request",
            required_micro=held - posted,
            available_micro=connection.scalar(available) or 0,
        )


def _reason(
    kind: str,
    account_id: str,
    now: datetime,
    *,
    generation_id: str | None = None,
    reference: str | None = None,
    actor: str | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """The values of a transaction's row."""
    return {
        "kind": kind,
        "account_id": account_id,
        "generation_id": generation_id,
        "reference": reference,
        "actor": actor,
        "reason": reason,
        "created_at": now,
    }


def _moved(draws: Iterable[Draw], source: str, target: str) -> list[dict[str, Any]]:
    """Entries that move these credits from one ledger account to another."""
    return [
        {"ledger_account": name, "grant_id": one.grant_id, "amount_micro": micro}
        for one in draws
        for name, micro in ((source, -one.micro), (target, one.micro))
    ]


def _write(connection: Connection, transaction: dict[str, Any], entries: Iterable[dict[str, Any]]) -> None:
    """Append one transaction and its entries."""
    ((transaction_id,),) = run(connection, _APPEND, transaction)
    rows = [{"transaction_id": transaction_id, **entry} for entry in entries]
    if rows:
        run_many(connection, _APPEND_ENTRY, rows)


# Statements of every submit and settle are made once: making one costs more than running it.

_CHANGE = Prepared(
    update(Account)
    .where(Account.id == bindparam("account"), Account.posted_micro - Account.held_micro >= bindparam("taken"))
    .values(posted_micro=Account.posted_micro + bindparam("posted"), held_micro=Account.held_micro + bindparam("held"))
    .returning(Account.id)
)
_CLOSE = Prepared(
    update(Account)
    .where(Account.id == bindparam("account"), Account.held_micro >= bindparam("held"))
    .values(
        held_micro=Account.held_micro - bindparam("held"), posted_micro=Account.posted_micro - bindparam("captured")
    )
    .returning(Account.id)
)
_APPEND = Prepared(
    insert(LedgerTransaction).returning(LedgerTransaction.id),
    ("kind", "account_id", "generation_id", "reference", "actor", "reason", "created_at"),
)
_APPEND_ENTRY = Prepared(insert(LedgerEntry), ("transaction_id", "ledger_account", "grant_id", "amount_micro"))
