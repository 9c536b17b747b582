"""Bringing a database to this version's schema, with the migrations that are shipped beside the application."""

import asyncio
from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from app.core.db.engine import Database
from app.core.db.sqlite import BEGIN_WRITE, SQLITE_BEGIN


def upgrade(url: str, revision: str = "head") -> None:
    """Apply the missing migrations, all or none. For programs without a running event loop."""
    asyncio.run(migrate(url, revision))


async def migrate(url: str, revision: str = "head", *, down: bool = False) -> None:
    """Move the schema up to a revision, or down to it."""
    database = Database.open(url)
    try:
        async with database.engine.connect() as connection:
            exclusive = await connection.execution_options(**{SQLITE_BEGIN: BEGIN_WRITE})
            async with exclusive.begin():
                await exclusive.run_sync(_run, revision, down)
    finally:
        await database.close()


def alembic_config() -> Config:
    """Alembic's configuration with the migrations of the installed package."""
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _run(connection: Connection, revision: str, down: bool) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    move = command.downgrade if down else command.upgrade
    move(config, revision)
