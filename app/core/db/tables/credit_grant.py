"""CreditGrant: credits that an account was given together, with what is left of them and until when."""

from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import BIG_KEY, Base, UtcDateTime

GrantKind = Literal["free", "promotional", "purchased"]

_LEFT = text("remaining_micro > 0")
_ENDING = text("remaining_micro > 0 AND expires_at IS NOT NULL")


class CreditGrant(Base):
    """`remaining_micro` is neither held nor spent; it mirrors the grant's entries in its account's available credits."""

    __tablename__ = "credit_grant"
    __table_args__ = (
        CheckConstraint("kind IN ('free', 'promotional', 'purchased')", name="kind_is_known"),
        CheckConstraint("remaining_micro BETWEEN 0 AND amount_micro", name="remaining_is_a_part"),
        Index("ix_credit_grant_left", "account_id", sqlite_where=_LEFT, postgresql_where=_LEFT),
        Index("ix_credit_grant_ending", "expires_at", sqlite_where=_ENDING, postgresql_where=_ENDING),
    )

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(String(16))
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    remaining_micro: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
