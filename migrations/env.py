"""Alembic's entry: runs the migrations on the connection that it is given, else on the database of the settings.

The application gives a connection inside a transaction (app.core.db.migrate); the `alembic` command gives none.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from app.core.config import load_settings
from app.core.db.engine import SQLITE_BEGIN, open_engine
from app.core.db.metadata import schema

MIGRATION_LOCK = 6_073_001
"""Key of the PostgreSQL advisory lock that makes two upgrades at once wait for each other."""


def run(connection: Connection) -> None:
    """Configure and run; all migrations of a run are one transaction on both databases."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    context.configure(
        connection=connection,
        target_metadata=schema(),
        transactional_ddl=True,
        transaction_per_migration=False,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_on_settings() -> None:
    """What the `alembic` command does: connect by itself."""
    engine = open_engine(load_settings().database.url)
    async with engine.connect() as connection:
        exclusive = await connection.execution_options(**{SQLITE_BEGIN: "BEGIN IMMEDIATE"})
        async with exclusive.begin():
            await exclusive.run_sync(run)
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_on_settings())
