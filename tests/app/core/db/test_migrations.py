"""Migrations on both databases: up, down, up again, and no difference from the tables that the code declares."""

import asyncio
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from app.core.db.engine import Database
from app.core.db.metadata import schema
from app.core.db.migrate import alembic_config, migrate
from app.core.db.version import newest_revision, schema_is_current

pytestmark = pytest.mark.anyio


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return compare_metadata(context, schema())


async def run(database: Database, question):
    async with database.read() as session:
        return await (await session.connection()).run_sync(question)


async def test_the_migrations_lead_to_the_declared_tables(database: Database) -> None:
    assert await schema_is_current(database)
    assert await run(database, differences) == []


async def test_down_to_nothing_and_up_again(database: Database, database_url: str) -> None:
    await migrate(database_url, "base", down=True)
    assert not await schema_is_current(database)
    assert await run(database, lambda connection: set(inspect(connection).get_table_names())) == {"alembic_version"}
    await migrate(database_url)
    assert await schema_is_current(database)
    assert await run(database, differences) == []


async def test_two_upgrades_at_once_wait_for_each_other(database: Database, database_url: str) -> None:
    await migrate(database_url, "base", down=True)
    program = "import sys; from app.core.db.migrate import upgrade; upgrade(sys.argv[1])"
    running = [await asyncio.create_subprocess_exec(sys.executable, "-c", program, database_url) for _ in range(2)]
    assert [await process.wait() for process in running] == [0, 0]
    assert await schema_is_current(database)


def test_the_newest_revision_is_alembics_only_head() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [newest_revision()]
