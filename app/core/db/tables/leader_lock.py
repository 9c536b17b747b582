"""LeaderLock: which process does a job that one at a time should do."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import Base, UtcDateTime


class LeaderLock(Base):
    """`holder` leads `name` until then, unless it renews."""

    __tablename__ = "leader_lock"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))
    until: Mapped[datetime] = mapped_column(UtcDateTime)
