"""Free images of callers without a key are counted together, by day."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

INDEX = "ix_generation_anonymous"


def upgrade() -> None:
    op.create_index(
        INDEX,
        "generation",
        ["queued_at"],
        sqlite_where=sa.text("is_free = 1 AND key_id IS NULL"),
        postgresql_where=sa.text("is_free AND key_id IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(INDEX, "generation")
