"""IdempotencyKey: a request that a client may send again, and the answer that it gets each time."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import ID, Base, UtcDateTime


class IdempotencyKey(Base):
    """Inserted in the submit's own transaction: a committed row has its task and its answer.

    `request_hash` is a digest of the body in its normal form. After `expires_at` the same key is a new one.
    """

    __tablename__ = "idempotency_key"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    route: Mapped[str] = mapped_column(String(255), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    task_id: Mapped[str | None] = mapped_column(ID)
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
