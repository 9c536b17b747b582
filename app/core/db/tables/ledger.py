"""LedgerTransaction and LedgerEntry: every movement of credits, never changed afterwards (triggers refuse it)."""

from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import BIG_KEY, Base, UtcDateTime
from app.core.db.tables.credit_grant import GrantKind

CreditKind = Literal["purchase", "grant", "free", "adjust"]

REVENUE = "revenue"
EXPIRED = "expired"
SOURCES: dict[CreditKind, str] = {
    "purchase": "purchases",
    "grant": "grants",
    "free": "grants",
    "adjust": "adjustments",
}
GRANT_KINDS: dict[CreditKind, GrantKind] = {
    "purchase": "purchased",
    "grant": "promotional",
    "free": "free",
    "adjust": "promotional",
}
"""What kind of grant each way of adding credits makes: what was not paid for is spent first."""


def available_account(account_id: str) -> str:
    """Ledger account of credits that can be spent."""
    return f"customer:{account_id}:available"


def held_account(account_id: str) -> str:
    """Ledger account of credits that running work holds."""
    return f"customer:{account_id}:held"


class LedgerTransaction(Base):
    """Why credits moved. A generation has one reserve and at most one settle; other kinds may name a reference."""

    __tablename__ = "ledger_transaction"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('reserve', 'settle', 'purchase', 'grant', 'free', 'adjust', 'expire')", name="kind_is_known"
        ),
        CheckConstraint(
            "(kind IN ('reserve', 'settle')) = (generation_id IS NOT NULL)", name="generations_reserve_and_settle"
        ),
        UniqueConstraint("generation_id", "kind"),
        UniqueConstraint("kind", "reference"),
        Index("ix_ledger_transaction_account_id_id", "account_id", "id"),
        Index("ix_ledger_transaction_account_id_created_at", "account_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    generation_id: Mapped[str | None] = mapped_column(ForeignKey("generation.id"))
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    reference: Mapped[str | None] = mapped_column(String(255))
    actor: Mapped[str | None] = mapped_column(String(255))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LedgerEntry(Base):
    """One account's part of a transaction, from one grant; a grant's entries of a transaction sum to zero."""

    __tablename__ = "ledger_entry"

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    transaction_id: Mapped[int] = mapped_column(ForeignKey("ledger_transaction.id"), index=True)
    ledger_account: Mapped[str] = mapped_column(String(128), index=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("credit_grant.id"))
    amount_micro: Mapped[int] = mapped_column(BigInteger)
