"""`darkroom models list`: the catalogue, the operator's rows, and where their weights are. Reads SQL and folders' records; loads no network."""

import json
from collections import defaultdict
from pathlib import Path
from typing import cast

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy import select

from app.cli.database import on_database
from app.cli.imports import import_model
from app.cli.options import DataDir, given
from app.cli.processes import PACKAGES
from app.cli.terminal import new_table, show
from app.core.config import load_settings
from app.core.db.engine import Database
from app.core.db.tables.worker import Registration
from app.core.operator_rows import load_catalog

INDEX, PROVENANCE = "model_index.json", "darkroom.json"
"""Of a folder of weights: what makes it one, and the record that an import leaves."""
BUNDLED = PACKAGES / "models" / "bundled"
ON_DISK = "(folder, no worker)"

Places = dict[str, dict[str, str]]
"""network -> place -> revision."""

networks = typer.Typer(help="The models that the service knows, and their weights.", no_args_is_help=True)
networks.command("import")(import_model)


@networks.command("list")
def list_models(data_dir: DataDir = None) -> None:
    """Show every public name, what runs behind it, where its weights are, and what their licence asks."""
    settings = load_settings(**given(data_dir=data_dir))
    on_disk = revisions_on_disk(BUNDLED) | revisions_on_disk(settings.models_dir)
    places = installed_in(on_database(settings, registrations), on_disk)
    catalog = load_catalog(settings)
    models = [catalog.resolve(row.name) for row in catalog.rows]
    table = new_table("model", "runs on", "installed in", "revision", "native", "licence")
    for model in models:
        place = places.get(model.network, {}) if model.network else {}
        native = f"{model.runs.native_width}x{model.runs.native_height}"
        _add(table, model.row.name, model.network or "-", *shown(place), native, model.row.licence.name)
    for network in sorted(places.keys() - {model.network for model in models}):
        _add(table, "-", network, *shown(places[network]), "-", "-")
    show(table)
    for licence in dict.fromkeys(model.row.licence for model in models):
        typer.echo(f"{licence.name}: {licence.note}{f' ({licence.url})' if licence.url else ''}")


def _add(table: Table, *cells: str) -> None:
    """A row of plain text: rich would take the [dev] in a name for a style."""
    table.add_row(*(Text(cell) for cell in cells))


def installed_in(registered: Places, on_disk: dict[str, str]) -> Places:
    """Where each network is: the pools that have registered it, else the folder that no worker has taken up yet."""
    return {network: {ON_DISK: revision} for network, revision in on_disk.items()} | registered


def shown(place: dict[str, str]) -> tuple[str, str]:
    """The places of a network and the revisions that they hold, as two cells."""
    return ", ".join(place) or "-", ", ".join(sorted(set(place.values()))) or "-"


def revisions_on_disk(models_dir: Path) -> dict[str, str]:
    """Revision of every folder of weights; "-" for one that was not imported but put there."""
    folders = sorted(models_dir.iterdir()) if models_dir.is_dir() else []
    return {folder.name: _revision(folder) for folder in folders if (folder / INDEX).is_file()}


def _revision(folder: Path) -> str:
    try:
        record: object = json.loads((folder / PROVENANCE).read_bytes())
    except (OSError, ValueError):
        return "-"
    found = cast(dict[str, object], record).get("fingerprint") if isinstance(record, dict) else None
    return found if isinstance(found, str) else "-"


async def registrations(database: Database) -> Places:
    """network -> pool -> revision."""
    found: Places = defaultdict(dict)
    async with database.read() as session:
        for registration in await session.scalars(select(Registration).order_by(Registration.pool)):
            found[registration.network][registration.pool] = registration.revision
    return found
