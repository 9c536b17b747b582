"""Account: who pays. Its two balances mirror the ledger, for guarded updates."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import ID, Base, UtcDateTime


class Account(Base):
    """Credits that are the account's (posted), and how many of them running work holds. `plan` is a name (app.accounts.plans)."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("held_micro >= 0", name="held_is_not_negative"),
        CheckConstraint("posted_micro - held_micro >= 0", name="no_overdraft"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    posted_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    held_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    plan: Mapped[str] = mapped_column(String(32), default="standard", server_default="standard")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
