"""An account's statement: every movement of its credits, newest first, with what was available and held after each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.account import Account
from app.core.db.tables.credit_grant import CreditGrant
from app.core.db.tables.generation import Generation
from app.core.db.tables.ledger import LedgerEntry, LedgerTransaction, available_account, held_account
from app.core.db.tables.task import Task
from app.core.errors import InvalidRequest
from app.core.grants import in_order

_CURSOR = re.compile(r"(\d{1,19})\.(\d{1,19})\.(\d{1,19})", re.ASCII)
_LARGEST = 2**63 - 1


_Transaction = Row[int, datetime, str, str | None, str | None, str | None, str | None, str | None]
"""Id, time, kind, generation, task, model, reference, reason."""


@dataclass(frozen=True)
class Cursor:
    """Where a page ends: its last transaction, and what was available and held before it. The past does not change."""

    transaction_id: int
    available_micro: int
    held_micro: int

    def __str__(self) -> str:
        return f"{self.transaction_id}.{self.available_micro}.{self.held_micro}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises InvalidRequest for one that no page ends with."""
        found = _CURSOR.fullmatch(text)
        numbers = [int(group) for group in found.groups()] if found else []
        if not numbers or max(numbers) > _LARGEST:
            raise InvalidRequest(
                "no page ends with this cursor", field="cursor", value=text, limit="a `next` of before"
            )
        return cls(*numbers)


@dataclass(frozen=True)
class Movement:
    """One transaction: what it changed of the available and the held credits, and both after it."""

    id: int
    at: datetime
    kind: str
    change_micro: int
    held_change_micro: int
    available_micro: int
    held_micro: int
    generation_id: str | None
    task_id: str | None
    model: str | None
    reference: str | None
    reason: str | None


@dataclass(frozen=True)
class Page:
    """Movements, and where the next page begins; None at the end."""

    movements: tuple[Movement, ...]
    next: Cursor | None


async def statement(session: AsyncSession, account_id: str, cursor: Cursor | None, limit: int) -> Page:
    """A page of movements. The session must see one snapshot: open it with Database.read()."""
    start = cursor or await _now(session, account_id)
    rows = await _transactions(session, account_id, start.transaction_id, limit + 1)
    changes = await _changes(session, account_id, [row.id for row in rows[:limit]])
    available, held = start.available_micro, start.held_micro
    movements: list[Movement] = []
    for row in rows[:limit]:
        change, held_change = changes.get(row.id, (0, 0))
        movements.append(
            Movement(
                row.id, row.created_at, row.kind, change, held_change, available, held,
                row.generation_id, row.task_id, row.model, row.reference, row.reason,
            )
        )  # fmt: skip
        available, held = available - change, held - held_change
    more = len(rows) > limit
    return Page(tuple(movements), Cursor(rows[limit - 1].id, available, held) if more else None)


async def live_grants(session: AsyncSession, account_id: str, now: datetime) -> Sequence[CreditGrant]:
    """Grants with credits left that have not expired, in the order in which they are spent."""
    alive = CreditGrant.expires_at.is_(None) | (CreditGrant.expires_at > now)
    query = select(CreditGrant).where(CreditGrant.account_id == account_id, CreditGrant.remaining_micro > 0, alive)
    return (await session.scalars(query.order_by(*in_order()))).all()


async def _now(session: AsyncSession, account_id: str) -> Cursor:
    query = select(Account.posted_micro - Account.held_micro, Account.held_micro).where(Account.id == account_id)
    found = (await session.execute(query)).first()
    return Cursor(_LARGEST, *(found or (0, 0)))


async def _transactions(session: AsyncSession, account_id: str, before: int, limit: int) -> Sequence[_Transaction]:
    """Ids of one account grow in the order of its commits: each transaction has changed the account's row first."""
    query = (
        select(
            LedgerTransaction.id,
            LedgerTransaction.created_at,
            LedgerTransaction.kind,
            LedgerTransaction.generation_id,
            Generation.task_id,
            Task.model,
            LedgerTransaction.reference,
            LedgerTransaction.reason,
        )
        .outerjoin(Generation, Generation.id == LedgerTransaction.generation_id)
        .outerjoin(Task, Task.id == Generation.task_id)
        .where(LedgerTransaction.account_id == account_id, LedgerTransaction.id < before)
        .order_by(LedgerTransaction.id.desc())
        .limit(limit)
    )
    return cast("Sequence[_Transaction]", (await session.execute(query)).all())


async def _changes(session: AsyncSession, account_id: str, ids: Sequence[int]) -> Mapping[int, tuple[int, int]]:
    """What each transaction changed of the available and of the held credits."""
    available, held = available_account(account_id), held_account(account_id)
    query = (
        select(LedgerEntry.transaction_id, LedgerEntry.ledger_account, func.sum(LedgerEntry.amount_micro))
        .where(LedgerEntry.transaction_id.in_(ids), LedgerEntry.ledger_account.in_((available, held)))
        .group_by(LedgerEntry.transaction_id, LedgerEntry.ledger_account)
    )
    found: dict[int, tuple[int, int]] = {}
    for transaction_id, name, micro in (await session.execute(query)).all():
        change, held_change = found.get(transaction_id, (0, 0))
        amount = int(micro)
        found[transaction_id] = (change + amount, held_change) if name == available else (change, held_change + amount)
    return found
