"""Grants that credits come from, and idempotency keys.

Whatever an account has becomes one purchased grant that never expires, and every entry so far is of that grant. The entries
themselves stay as they are: append-only tables get their triggers back before this transaction ends.
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FINAL_TABLES = ("ledger_transaction", "ledger_entry")
OLD_KINDS = ("reserve", "settle", "purchase", "grant", "adjust")
NEW_KINDS = ("reserve", "settle", "purchase", "grant", "free", "adjust", "expire")
KIND_CHECK = "ck_ledger_transaction_kind_is_known"
STATEMENT_INDEX = "ix_ledger_transaction_account_id_id"


def upgrade() -> None:
    create_credit_grant()
    create_idempotency_key()
    open_grants()
    if is_sqlite():
        rebuild_ledger(NEW_KINDS, with_grants=True)
    else:
        change_ledger()
    op.create_index(STATEMENT_INDEX, "ledger_transaction", ["account_id", "id"])


def downgrade() -> None:
    """Fails, and changes nothing, when there are transactions that the first schema does not know."""
    op.drop_index(STATEMENT_INDEX, "ledger_transaction")
    if is_sqlite():
        rebuild_ledger(OLD_KINDS, with_grants=False)
    else:
        op.drop_column("ledger_entry", "grant_id")
        replace_kinds(OLD_KINDS)
    op.drop_table("idempotency_key")
    op.drop_table("credit_grant")


def create_credit_grant() -> None:
    left = sa.text("remaining_micro > 0")
    ending = sa.text("remaining_micro > 0 AND expires_at IS NOT NULL")
    op.create_table(
        "credit_grant",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("remaining_micro", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('free', 'promotional', 'purchased')", name=op.f("ck_credit_grant_kind_is_known")),
        sa.CheckConstraint(
            "remaining_micro BETWEEN 0 AND amount_micro", name=op.f("ck_credit_grant_remaining_is_a_part")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_credit_grant_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_grant")),
    )
    op.create_index("ix_credit_grant_left", "credit_grant", ["account_id"], sqlite_where=left, postgresql_where=left)
    op.create_index(
        "ix_credit_grant_ending", "credit_grant", ["expires_at"], sqlite_where=ending, postgresql_where=ending
    )


def create_idempotency_key() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("route", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=36), nullable=True),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_idempotency_key_account_id")),
        sa.PrimaryKeyConstraint("account_id", "route", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index("ix_idempotency_key_expires_at", "idempotency_key", ["expires_at"])


def open_grants() -> None:
    """One for each account with history: as much as was ever added, less what was taken back; left is what is available."""
    op.execute(
        "INSERT INTO credit_grant (account_id, kind, amount_micro, remaining_micro, expires_at, created_at) "
        "SELECT account.id, 'purchased', sum(ledger_entry.amount_micro), "
        "account.posted_micro - account.held_micro, NULL, account.created_at "
        "FROM account JOIN ledger_transaction ON ledger_transaction.account_id = account.id "
        "JOIN ledger_entry ON ledger_entry.transaction_id = ledger_transaction.id "
        "AND ledger_entry.ledger_account = 'customer\\:' || account.id || '\\:available' "
        "WHERE ledger_transaction.kind NOT IN ('reserve', 'settle') "
        "GROUP BY account.id, account.posted_micro, account.held_micro, account.created_at ORDER BY account.created_at"
    )


def change_ledger() -> None:
    """PostgreSQL: add the column, fill it with the triggers off, and require it from now on."""
    op.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_refuses_change")
    op.add_column("ledger_entry", sa.Column("grant_id", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE ledger_entry SET grant_id = credit_grant.id FROM ledger_transaction, credit_grant "
        "WHERE ledger_transaction.id = ledger_entry.transaction_id "
        "AND credit_grant.account_id = ledger_transaction.account_id"
    )
    op.execute("ALTER TABLE ledger_entry ENABLE TRIGGER ledger_entry_refuses_change")
    op.alter_column("ledger_entry", "grant_id", nullable=False)
    op.create_foreign_key(op.f("fk_ledger_entry_grant_id"), "ledger_entry", "credit_grant", ["grant_id"], ["id"])
    replace_kinds(NEW_KINDS)


def replace_kinds(kinds: tuple[str, ...]) -> None:
    op.drop_constraint(op.f(KIND_CHECK), "ledger_transaction", type_="check")
    op.create_check_constraint(op.f(KIND_CHECK), "ledger_transaction", kinds_check(kinds))


def rebuild_ledger(kinds: tuple[str, ...], *, with_grants: bool) -> None:
    """SQLite changes no constraint of a table: make both anew, copy the rows as they are, and drop the old ones."""
    for table, columns in INDEXES.items():
        for column in columns:
            op.drop_index(f"ix_{table}_{'_'.join(column)}", table)
    for table in FINAL_TABLES:
        op.execute(f"DROP TRIGGER {table}_refuses_update")
        op.execute(f"DROP TRIGGER {table}_refuses_delete")
        op.rename_table(table, f"old_{table}")
    create_ledger_transaction(kinds)
    create_ledger_entry(with_grants=with_grants)
    op.execute(
        "INSERT INTO ledger_transaction "
        "(id, kind, generation_id, account_id, reference, actor, reason, created_at) "
        "SELECT id, kind, generation_id, account_id, reference, actor, reason, created_at FROM old_ledger_transaction"
    )
    op.execute(COPY_WITH_GRANTS if with_grants else COPY_WITHOUT_GRANTS)
    for table in reversed(FINAL_TABLES):
        op.drop_table(f"old_{table}")
    for table, columns in INDEXES.items():
        for column in columns:
            op.create_index(f"ix_{table}_{'_'.join(column)}", table, list(column))
    for table in FINAL_TABLES:
        refuse_changes(table)


INDEXES = {
    "ledger_transaction": (("account_id", "created_at"),),
    "ledger_entry": (("ledger_account",), ("transaction_id",)),
}
COPY_WITH_GRANTS = (
    "INSERT INTO ledger_entry (id, transaction_id, ledger_account, grant_id, amount_micro) "
    "SELECT old.id, old.transaction_id, old.ledger_account, credit_grant.id, old.amount_micro "
    "FROM old_ledger_entry AS old JOIN ledger_transaction ON ledger_transaction.id = old.transaction_id "
    "JOIN credit_grant ON credit_grant.account_id = ledger_transaction.account_id ORDER BY old.id"
)
COPY_WITHOUT_GRANTS = (
    "INSERT INTO ledger_entry (id, transaction_id, ledger_account, amount_micro) "
    "SELECT id, transaction_id, ledger_account, amount_micro FROM old_ledger_entry ORDER BY id"
)


def create_ledger_transaction(kinds: tuple[str, ...]) -> None:
    op.create_table(
        "ledger_transaction",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("generation_id", sa.String(length=36), nullable=True),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind IN ('reserve', 'settle')) = (generation_id IS NOT NULL)",
            name=op.f("ck_ledger_transaction_generations_reserve_and_settle"),
        ),
        sa.CheckConstraint(kinds_check(kinds), name=op.f(KIND_CHECK)),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_ledger_transaction_account_id")),
        sa.ForeignKeyConstraint(["generation_id"], ["generation.id"], name=op.f("fk_ledger_transaction_generation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transaction")),
        sa.UniqueConstraint("generation_id", "kind", name=op.f("uq_ledger_transaction_generation_id_kind")),
        sa.UniqueConstraint("kind", "reference", name=op.f("uq_ledger_transaction_kind_reference")),
    )


def create_ledger_entry(*, with_grants: bool) -> None:
    grant: tuple[sa.Column[int] | sa.ForeignKeyConstraint, ...] = ()
    if with_grants:
        names_a_grant = sa.ForeignKeyConstraint(
            ["grant_id"], ["credit_grant.id"], name=op.f("fk_ledger_entry_grant_id")
        )
        grant = (sa.Column("grant_id", BIG_KEY, nullable=False), names_a_grant)
    op.create_table(
        "ledger_entry",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("transaction_id", BIG_KEY, nullable=False),
        sa.Column("ledger_account", sa.String(length=128), nullable=False),
        *grant,
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["ledger_transaction.id"], name=op.f("fk_ledger_entry_transaction_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entry")),
    )


def refuse_changes(table: str) -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def kinds_check(kinds: tuple[str, ...]) -> str:
    return "kind IN ({})".format(", ".join(f"'{kind}'" for kind in kinds))


def is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
