"""Generation: one image of a task, and everything that the queue knows about it."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.base import ID, Base, UtcDateTime
from app.core.spec import SPEC_VERSION
from app.core.states import ACTIVE_STATES, GenerationState

_STATES = ", ".join(f"'{state}'" for state in GenerationState)
_QUEUED = text(f"state = '{GenerationState.QUEUED}'")
_RUNNING = text(f"state = '{GenerationState.RUNNING}'")
_AGEING = text(f"state = '{GenerationState.QUEUED}' AND ages_at IS NOT NULL")
_CLAIMED = text("attempt > 0")
_ACTIVE = text("state IN ({})".format(", ".join(f"'{state}'" for state in sorted(ACTIVE_STATES))))


class Generation(Base):
    """`attempt` is the fencing token and only grows, at every claim; `failures` counts against the retry limit.

    Lower `priority` goes first, then `virtual_start` (app.core.fairness: both tags are in seconds of work divided by weight, and
    `flow` is whose turn it takes). A row that `ages_at` has passed moves up. `is_free`: it counts against a quota, and has no
    price. `first_step_at` belongs to the current attempt: a lease lost before it costs nothing. One lost after it makes the row
    a suspect (`is_suspect`), which runs alone from then on, and only a suspect's lost lease is a failure.
    """

    __tablename__ = "generation"
    __table_args__ = (
        CheckConstraint(f"state IN ({_STATES})", name="state_is_known"),
        CheckConstraint("price_micro >= 0", name="price_is_not_negative"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="running_has_a_lease"),
        UniqueConstraint("task_id", "index"),
        Index(
            "ix_generation_queue",
            "pool",
            "priority",
            "virtual_start",
            "queued_at",
            "id",
            sqlite_where=_QUEUED,
            postgresql_where=_QUEUED,
        ),
        Index(
            "ix_generation_ages_at",
            "pool",
            "priority",
            "ages_at",
            sqlite_where=_AGEING,
            postgresql_where=_AGEING,
        ),
        Index(
            "ix_generation_served",
            "pool",
            "priority",
            "virtual_start",
            sqlite_where=_CLAIMED,
            postgresql_where=_CLAIMED,
        ),
        Index("ix_generation_flow", "flow", "pool", "priority", "virtual_finish"),
        Index(
            "ix_generation_free",
            "account_id",
            "queued_at",
            sqlite_where=text("is_free = 1"),
            postgresql_where=text("is_free"),
        ),
        Index(
            "ix_generation_anonymous",
            "queued_at",
            sqlite_where=text("is_free = 1 AND key_id IS NULL"),
            postgresql_where=text("is_free AND key_id IS NULL"),
        ),
        Index("ix_generation_lease_until", "lease_until", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
        Index("ix_generation_deadline_at", "deadline_at", sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
        Index("ix_generation_active_account_id", "account_id", sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("task.id"))
    index: Mapped[int]
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"))
    key_id: Mapped[str | None] = mapped_column(ID)
    state: Mapped[str] = mapped_column(String(32), default=GenerationState.QUEUED)

    spec: Mapped[str] = mapped_column(Text)
    spec_version: Mapped[int] = mapped_column(default=SPEC_VERSION)
    network: Mapped[str] = mapped_column(String(128))
    pool: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int]
    height: Mapped[int]

    priority: Mapped[int] = mapped_column(default=0)
    flow: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))
    virtual_start: Mapped[float] = mapped_column(default=0.0, server_default=text("0"))
    virtual_finish: Mapped[float] = mapped_column(default=0.0, server_default=text("0"))
    ages_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expected_s: Mapped[float]
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deadline_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempt: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    is_suspect: Mapped[bool] = mapped_column(default=False, server_default=false())
    worker_id: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    first_step_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    is_free: Mapped[bool] = mapped_column(default=False, server_default=false())
    price_micro: Mapped[int] = mapped_column(BigInteger)
    price_book_version: Mapped[str] = mapped_column(String(32))
    price_inputs: Mapped[dict[str, Any]] = mapped_column(JSON)

    object_key: Mapped[str | None] = mapped_column(String(255))
    content_type: Mapped[str | None] = mapped_column(String(64))
    sha256: Mapped[str | None] = mapped_column(String(64))
    num_bytes: Mapped[int | None] = mapped_column(BigInteger)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)


IS_ACTIVE = Generation.state.in_([literal_column(f"'{state}'") for state in sorted(ACTIVE_STATES)])
IS_QUEUED = Generation.state == literal_column(f"'{GenerationState.QUEUED}'")
"""In the very words of the indexes: SQLite uses a partial index for nothing else, nor does a plan that PostgreSQL keeps."""
