"""Task: what a client submitted and polls. Its state is that of its generations (app.core.states.task_state)."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import ID, Base, UtcDateTime


class Task(Base):
    """`model` is the public name, `network` what ran.

    After `expires_at` it reads as not found; `expired_at` says when it was emptied.
    """

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("num_images >= 1", name="has_images"),
        Index("ix_task_account_id_created_at", "account_id", "created_at"),
        Index("ix_task_expired_at_expires_at", "expired_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    model: Mapped[str] = mapped_column(String(128))
    network: Mapped[str] = mapped_column(String(128))
    dialect: Mapped[str] = mapped_column(String(32))
    num_images: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cost_micro: Mapped[int] = mapped_column(BigInteger)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
