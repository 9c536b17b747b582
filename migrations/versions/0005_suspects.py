"""A row that had begun when its worker died is a suspect: it is run alone before a death counts against it.

Until now every row with a failure was run alone; those that are still under way stay so.
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("generation", sa.Column("is_suspect", sa.Boolean(), server_default=sa.false(), nullable=False))
    generation = sa.table(
        "generation", sa.column("is_suspect", sa.Boolean()), sa.column("failures"), sa.column("state", sa.String())
    )
    is_one = sa.and_(generation.c.failures > 0, generation.c.state.in_(["queued", "running"]))
    op.execute(generation.update().where(is_one).values(is_suspect=sa.true()))


def downgrade() -> None:
    op.drop_column("generation", "is_suspect")
