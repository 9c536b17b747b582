"""Webhooks: who is to be told of a task's end, what became of each attempt, and which secret signs."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_webhook()
    op.create_index("ix_webhook_task_id", "webhook", ["task_id"])
    op.create_index("ix_webhook_state_next_at", "webhook", ["state", "next_at"])
    op.create_index("ix_webhook_account_id_created_at", "webhook", ["account_id", "created_at"])
    _create_attempt()
    op.create_index("ix_webhook_attempt_webhook_id", "webhook_attempt", ["webhook_id"])
    op.create_table(
        "webhook_secret",
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_webhook_secret_account_id"),
        sa.PrimaryKeyConstraint("account_id", name="pk_webhook_secret"),
    )


def _create_webhook() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("public_url", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("num_attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name="fk_webhook_task_id"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_webhook_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook"),
    )


def _create_attempt() -> None:
    op.create_table(
        "webhook_attempt",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("webhook_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], name="fk_webhook_attempt_webhook_id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_attempt"),
    )


def downgrade() -> None:
    for table in ("webhook_secret", "webhook_attempt", "webhook"):
        op.drop_table(table)
