"""ApiKey: the digest of a key and what it may do. The key itself is shown once and never stored."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import ID, Base, UtcDateTime


class ApiKey(Base):
    """`prefix` and `last4` are what people see of it; `pepper_id` says which server secret made the digest.

    A key that was rotated has another digest; the one before it works until `previous_until`. `spent_micro` is what its images cost so far, those under way included; it never passes `spending_limit_micro`.
    """

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    prefix: Mapped[str] = mapped_column(String(32))
    last4: Mapped[str] = mapped_column(String(4))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    previous_digest: Mapped[str | None] = mapped_column(String(64), index=True)
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pepper_id: Mapped[str] = mapped_column(String(32))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    spending_limit_micro: Mapped[int | None] = mapped_column(BigInteger)
    spent_micro: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
