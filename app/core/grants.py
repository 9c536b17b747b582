"""Grants: whose credits are spent first, and what ends when. Part of app.core.ledger, which writes the entries.

Credits are burnt in one order: free ones, then promotional ones, then what was paid for; among these the one that expires
first, then the oldest. Every function works under the account's row, which its caller has updated or locked, so that what it
reads stays true until the commit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, insert, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.prepared import Prepared
from app.core.db.sending import run
from app.core.db.tables.credit_grant import CreditGrant, GrantKind
from app.core.db.tables.ledger import LedgerEntry, LedgerTransaction
from app.core.errors import InsufficientCredits

KINDS_IN_ORDER: tuple[GrantKind, ...] = ("free", "promotional", "purchased")

_HAS_LEFT = CreditGrant.remaining_micro > literal_column("0")
"""In the words of the partial indexes: SQLite uses them for nothing else."""


class LedgerBroken(Exception):
    """The stored balances contradict the entries. Nothing is written; somebody has to look."""


@dataclass(frozen=True)
class Draw:
    """A part of some credits, and the grant that it comes from."""

    grant_id: int
    micro: int


def open_grant(
    connection: Connection,
    account_id: str,
    kind: GrantKind,
    amount_micro: int,
    expires_at: datetime | None,
    now: datetime,
) -> Draw:
    """A new grant, all of it left."""
    values = {
        "account_id": account_id,
        "kind": kind,
        "amount_micro": amount_micro,
        "remaining_micro": amount_micro,
        "expires_at": expires_at,
        "created_at": now,
    }
    return Draw(connection.execute(_OPEN, values).one().id, amount_micro)


def draw(connection: Connection, account_id: str, micro: int, now: datetime) -> list[Draw]:
    """Take so many credits out of the account's grants, in their order.

    Raises:
        InsufficientCredits: less is left that has not expired. The caller gives its transaction up.
    """
    values = {"account": account_id, "now": now, "micro": micro}
    for (grant_id,) in run(connection, _TAKE_FROM_FIRST, values):
        return [Draw(grant_id, micro)]
    left = [Draw(grant_id, remaining) for grant_id, remaining in connection.execute(_LEFT, values)]
    draws = first_of(left, micro)
    if sum(one.micro for one in draws) < micro:
        raise InsufficientCredits(
            "not enough credits for this request",
            required_micro=micro,
            available_micro=sum(one.micro for one in left),
        )
    for one in draws:
        _move(connection, one.grant_id, -one.micro)
    return draws


def put_back(connection: Connection, draws: Iterable[Draw]) -> None:
    """What was drawn and not spent is left again, each part in its own grant."""
    for one in draws:
        _move(connection, one.grant_id, one.micro)


def held_by(connection: Connection, generation_id: str) -> list[Draw]:
    """What a generation reserved, in the order in which it was drawn."""
    entries = sorted(run(connection, _HELD, {"generation": generation_id}))  # by their number, which comes first
    return [Draw(grant_id, micro) for _, grant_id, micro in entries]


async def accounts_with_expired(session: AsyncSession, now: datetime, limit: int = 100) -> Sequence[str]:
    """Accounts that have credits left in a grant whose time is over. A read, so that a quiet service takes no write lock."""
    query = select(CreditGrant.account_id).where(*_is_over(now)).distinct().order_by(CreditGrant.account_id)
    return (await session.scalars(query.limit(limit))).all()


def end_expired(connection: Connection, account_id: str, now: datetime) -> list[Draw]:
    """Empty the account's grants whose time is over; what was left in each."""
    query = select(CreditGrant.id, CreditGrant.remaining_micro).where(
        CreditGrant.account_id == account_id, *_is_over(now)
    )
    ended = [Draw(grant_id, remaining) for grant_id, remaining in connection.execute(query).all()]
    for one in ended:
        _move(connection, one.grant_id, -one.micro)
    return ended


def first_of(draws: Sequence[Draw], micro: int) -> list[Draw]:
    """The first so many credits of these, or all of them when they are fewer."""
    taken: list[Draw] = []
    for one in draws:
        part = min(one.micro, micro)
        if part > 0:
            taken.append(Draw(one.grant_id, part))
        micro -= part
    return taken


def last_of(draws: Sequence[Draw], micro: int) -> list[Draw]:
    """What is left of these after the first so many credits."""
    kept: list[Draw] = []
    for one in draws:
        part = min(one.micro, micro)
        if part < one.micro:
            kept.append(Draw(one.grant_id, one.micro - part))
        micro -= part
    return kept


def in_order() -> tuple[ColumnElement[Any], ...]:
    """The order in which grants are burnt, for ORDER BY."""
    rank = case({kind: index for index, kind in enumerate(KINDS_IN_ORDER)}, value=CreditGrant.kind)
    return rank, CreditGrant.expires_at.is_(None), CreditGrant.expires_at.expression, CreditGrant.id.expression


def _is_over(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return _HAS_LEFT, CreditGrant.expires_at.is_not(None), CreditGrant.expires_at <= now


def _move(connection: Connection, grant_id: int, micro: int) -> None:
    if not run(connection, _MOVE, {"grant": grant_id, "micro": micro}):
        raise LedgerBroken(f"grant {grant_id} does not have the {-micro} micro-credits that were read in it")


# Statements of every submit and settle are made once: making one costs more than running it.

_OPEN = insert(CreditGrant).returning(CreditGrant.id)
_LEFT = (
    select(CreditGrant.id, CreditGrant.remaining_micro)
    .where(CreditGrant.account_id == bindparam("account"), _HAS_LEFT)
    .where(or_(CreditGrant.expires_at.is_(None), CreditGrant.expires_at > bindparam("now")))
    .order_by(*in_order())
)
_TAKE_FROM_FIRST = Prepared(
    update(CreditGrant)
    .where(CreditGrant.id == _LEFT.with_only_columns(CreditGrant.id).correlate(None).limit(1).scalar_subquery())
    .where(CreditGrant.remaining_micro >= bindparam("micro"))
    .values(remaining_micro=CreditGrant.remaining_micro - bindparam("micro"))
    .returning(CreditGrant.id)
)
"""Nothing is found when the first grant is too small: then several have to be drawn on, one by one."""

_HELD = Prepared(
    select(LedgerEntry.id, LedgerEntry.grant_id, LedgerEntry.amount_micro)
    .where(LedgerEntry.amount_micro > 0)
    .where(
        LedgerEntry.transaction_id
        == select(LedgerTransaction.id)
        .where(LedgerTransaction.generation_id == bindparam("generation"), LedgerTransaction.kind == "reserve")
        .scalar_subquery()
    )
)
"""By two keys, and sorted here: given an order or the account's name, PostgreSQL plans to walk all that the account ever did."""

_MOVE = Prepared(
    update(CreditGrant)
    .where(CreditGrant.id == bindparam("grant"), CreditGrant.remaining_micro + bindparam("micro") >= 0)
    .values(remaining_micro=CreditGrant.remaining_micro + bindparam("micro"))
    .returning(CreditGrant.id)
)
