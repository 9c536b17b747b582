"""AuditEvent: who changed what about whom, never changed afterwards (triggers refuse it)."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import BIG_KEY, ID, Base, UtcDateTime


class AuditEvent(Base):
    """`actor` is a key or a command, `account_id` whom it was about; `detail` holds names and amounts, never a secret."""

    __tablename__ = "audit_event"
    __table_args__ = (Index("ix_audit_event_account_id_id", "account_id", "id"),)

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(64))
    account_id: Mapped[str | None] = mapped_column(ForeignKey("account.id"))
    subject: Mapped[str | None] = mapped_column(ID)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    request_id: Mapped[str | None] = mapped_column(String(128))
