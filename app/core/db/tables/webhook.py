"""Webhook: the end of a task, to be told to an address of its owner's; and what became of each attempt."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import BIG_KEY, ID, Base, UtcDateTime


class Webhook(Base):
    """Inserted in the submit's own transaction. `id` is the message's, the same at every attempt.

    `state`: waiting (for the task's end, or for `next_at`), delivered, or ended (given up, or told to stop).
    `secret` is what the request brought, None for the account's own. `body` is what is sent, fixed at the first attempt.
    """

    __tablename__ = "webhook"
    __table_args__ = (
        Index("ix_webhook_state_next_at", "state", "next_at"),
        Index("ix_webhook_account_id_created_at", "account_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("task.id"), index=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str | None] = mapped_column(Text)
    public_url: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    num_attempts: Mapped[int]
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    body: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WebhookAttempt(Base):
    """The log. `status` is the receiver's, None where nobody answered; `error` then says why."""

    __tablename__ = "webhook_attempt"

    id: Mapped[int] = mapped_column(BIG_KEY, primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhook.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)


class WebhookSecret(Base):
    """Which of an account's derived secrets is in use; without a row the first. The one before signs too until then."""

    __tablename__ = "webhook_secret"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    version: Mapped[int]
    previous_until: Mapped[datetime] = mapped_column(UtcDateTime)
