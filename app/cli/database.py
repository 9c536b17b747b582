"""`darkroom db upgrade`, and how the other commands reach the database."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import typer
from sqlalchemy import make_url

from app.cli.options import DataDir, given
from app.cli.terminal import CommandError, say
from app.core.config import Settings, load_settings
from app.core.db.engine import Database
from app.core.db.version import schema_is_current

Result = TypeVar("Result")
database = typer.Typer(help="The database's schema.", no_args_is_help=True)


@database.command("upgrade")
def upgrade_schema(data_dir: DataDir = None) -> None:
    """Bring the schema up to date. Stop gateways of an older version first."""
    url = load_settings(**given(data_dir=data_dir)).database.url
    bring_up_to_date(url)
    say(f"{without_password(url)} is up to date")


def bring_up_to_date(url: str) -> None:
    """Applies the missing migrations. Their tool is loaded here, because it takes longer than most commands and gateways run."""
    from app.core.db.migrate import upgrade

    with reached(url):
        upgrade(url)


def on_database(settings: Settings, action: Callable[[Database], Awaitable[Result]]) -> Result:
    """Runs the action on an open database, and closes it whatever happens. An embedded one that is not there yet is made."""
    url = make_url(settings.database.url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        bring_up_to_date(settings.database.url)

    async def run() -> Result:
        async with opened(settings) as database:
            return await action(database)

    return asyncio.run(run())


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Database]:
    """The database, if its schema is this version's."""
    database = Database.open(settings.database.url)
    try:
        with reached(settings.database.url):
            is_current = await schema_is_current(database)
        if not is_current:
            raise CommandError("the database's schema is not this version's; run `darkroom db upgrade`")
        yield database
    finally:
        await database.close()


@contextmanager
def reached(url: str) -> Generator[None]:
    """Says which database could not be reached."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"cannot reach the database {without_password(url)}: {error}") from error


def without_password(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
