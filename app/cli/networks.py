"""`darkroom models list`: the catalogue, and which of its weights any pool has registered. Reads SQL; loads no network."""

from collections import defaultdict

import typer
from sqlalchemy import select

from app.cli.database import on_database
from app.cli.options import DataDir, given
from app.cli.terminal import new_table, show
from app.core.catalog import Catalog
from app.core.config import load_settings
from app.core.db.engine import Database
from app.core.db.tables.worker import Registration

networks = typer.Typer(help="The models that the service knows.", no_args_is_help=True)


@networks.callback()
def group() -> None:
    """Keeps `list` a command of a group, although it is the only one."""


@networks.command("list")
def list_models(data_dir: DataDir = None) -> None:
    """Show every public name, what runs behind it, and where its weights are installed."""
    settings = load_settings(**given(data_dir=data_dir))
    registered = on_database(settings, registrations)
    catalog = Catalog(aliases=settings.aliases)
    table = new_table("model", "runs on", "installed in", "revision", "native", "licence")
    for resolved in (catalog.resolve(row.name) for row in catalog.rows):
        pools = registered.get(resolved.network, {}) if resolved.network else {}
        native = f"{resolved.runs.native_width}x{resolved.runs.native_height}"
        table.add_row(resolved.row.name, resolved.network or "-", *installed(pools), native, resolved.row.licence.name)
    for network in sorted(registered.keys() - {catalog.resolve(row.name).network for row in catalog.rows}):
        table.add_row("-", network, *installed(registered[network]), "-", "-")
    show(table)


def installed(pools: dict[str, str]) -> tuple[str, str]:
    """The pools and the revisions that they hold, as two cells."""
    return ", ".join(pools) or "-", ", ".join(sorted(set(pools.values()))) or "-"


async def registrations(database: Database) -> dict[str, dict[str, str]]:
    """network -> pool -> revision."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    async with database.read() as session:
        for registration in await session.scalars(select(Registration).order_by(Registration.pool)):
            found[registration.network][registration.pool] = registration.revision
    return found
