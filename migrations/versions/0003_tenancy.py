"""Plans, spending limits of keys, fair shares of the queue, free images, and the audit log.

Rows that are queued when this runs keep their order and go first: their tags are zero.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
QUEUED = sa.text("state = 'queued'")
AGEING = sa.text("state = 'queued' AND ages_at IS NOT NULL")
CLAIMED = sa.text("attempt > 0")

FREE_INDEX = "ix_generation_free"
PREVIOUS_INDEX = "ix_api_key_previous_digest"
QUEUE_INDEX = "ix_generation_queue"
NEW_INDEXES = {
    QUEUE_INDEX: (["pool", "priority", "virtual_start", "queued_at", "id"], QUEUED),
    "ix_generation_ages_at": (["pool", "priority", "ages_at"], AGEING),
    "ix_generation_served": (["pool", "priority", "virtual_start"], CLAIMED),
    "ix_generation_flow": (["flow", "pool", "priority", "virtual_finish"], None),
}


def new_columns() -> list[tuple[str, sa.Column[Any]]]:
    """Table and column."""
    return [
        ("account", sa.Column("plan", sa.String(length=32), server_default="standard", nullable=False)),
        ("api_key", sa.Column("spending_limit_micro", sa.BigInteger(), nullable=True)),
        ("api_key", sa.Column("spent_micro", sa.BigInteger(), server_default=sa.text("0"), nullable=False)),
        ("api_key", sa.Column("previous_digest", sa.String(length=64), nullable=True)),
        ("api_key", sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True)),
        ("generation", sa.Column("key_id", sa.String(length=36), nullable=True)),
        ("generation", sa.Column("flow", sa.String(length=64), server_default=sa.text("''"), nullable=False)),
        ("generation", sa.Column("virtual_start", sa.Double(), server_default=sa.text("0"), nullable=False)),
        ("generation", sa.Column("virtual_finish", sa.Double(), server_default=sa.text("0"), nullable=False)),
        ("generation", sa.Column("ages_at", sa.DateTime(timezone=True), nullable=True)),
        ("generation", sa.Column("is_free", sa.Boolean(), server_default=sa.false(), nullable=False)),
    ]


def upgrade() -> None:
    for table, column in new_columns():
        op.add_column(table, column)
    op.drop_index(QUEUE_INDEX, "generation")
    for name, (columns, where) in NEW_INDEXES.items():
        op.create_index(name, "generation", columns, sqlite_where=where, postgresql_where=where)
    op.create_index(
        FREE_INDEX,
        "generation",
        ["account_id", "queued_at"],
        sqlite_where=sa.text("is_free = 1"),
        postgresql_where=sa.text("is_free"),
    )
    op.create_index(PREVIOUS_INDEX, "api_key", ["previous_digest"])
    create_audit_event()
    refuse_changes("audit_event")


def downgrade() -> None:
    op.drop_table("audit_event")
    op.drop_index(PREVIOUS_INDEX, "api_key")
    for name in (*NEW_INDEXES, FREE_INDEX):
        op.drop_index(name, "generation")
    op.create_index(
        QUEUE_INDEX, "generation", ["pool", "priority", "queued_at", "id"], sqlite_where=QUEUED, postgresql_where=QUEUED
    )
    for table, column in reversed(new_columns()):
        op.drop_column(table, column.name)


def create_audit_event() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=True),
        sa.Column("subject", sa.String(length=36), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_audit_event_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    op.create_index("ix_audit_event_account_id_id", "audit_event", ["account_id", "id"])


def refuse_changes(table: str) -> None:
    """Let rows be added and nothing else. PostgreSQL has the function of the first schema."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
