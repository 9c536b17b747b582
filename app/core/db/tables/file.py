"""File: a picture that an account has uploaded, to be named in its requests for a while."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import ID, Base, UtcDateTime


class File(Base):
    """The row comes before the object and goes after it, so that no object is without one.

    `state`: uploading (its owner sends it to the bucket), checking (it is looked at and stored), ready. What the header says is
    there once it is ready; `num_bytes` and `content_type` before that are what was announced. `expires_at` of one that is not
    ready is when its upload is given up.
    """

    __tablename__ = "file"
    __table_args__ = (
        CheckConstraint("state IN ('uploading', 'checking', 'ready')", name="state_is_known"),
        CheckConstraint("num_bytes >= 0", name="num_bytes_is_not_negative"),
        Index("ix_file_account_id_created_at", "account_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    state: Mapped[str] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(32))
    filename: Mapped[str] = mapped_column(String(255))
    num_bytes: Mapped[int] = mapped_column(BigInteger)
    content_type: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str | None] = mapped_column(String(64))
    width: Mapped[int | None]
    height: Mapped[int | None]
    has_alpha: Mapped[bool | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
