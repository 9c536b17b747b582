"""`darkroom models import`: what may be imported, under which licence; the work is done by python -m models.importing."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import DataDir, given
from app.cli.processes import keep_to_own_packages
from app.cli.terminal import CommandError, say
from app.core.catalog import CATALOG, Catalog
from app.core.config import Settings, load_settings, set_default_variable
from app.core.licences import Licence
from app.core.operator_rows import (
    OperatorRow,
    add_operator_row,
    checked_control,
    checked_row,
    operator_rows,
    with_operator_controls,
    with_operator_rows,
)

STOPPED = 130
"""Exit status after an interrupt."""


@dataclass(frozen=True)
class Installable:
    """What an import makes: the folder's name, the network whose rules it follows, its licence, and the row that is added for it."""

    folder: str
    like: str | None
    licence: Licence
    row: OperatorRow | None = None


def import_model(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Folder, file, or hf:ORG/REPO[@REVISION][:FILE].")],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Model that these weights are.")],
    like: Annotated[
        str | None, typer.Option(metavar="ROW", help="NAME is yours: its limits and price are this model's.")
    ] = None,
    vae: Annotated[Path | None, typer.Option(help="Another autoencoder: folder or file.")] = None,
    text_encoder: Annotated[Path | None, typer.Option(help="Another text encoder: folder.")] = None,
    text_encoder_2: Annotated[Path | None, typer.Option(help="Another second text encoder (T5): folder.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Another tokenizer: folder.")] = None,
    tokenizer_2: Annotated[Path | None, typer.Option(help="Another second tokenizer (T5's): folder.")] = None,
    image_encoder: Annotated[Path | None, typer.Option(help="An image adapter's vision encoder: folder.")] = None,
    base: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Installed model, or folder, with what SRC lacks.")
    ] = None,
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="You accept the weights' licence.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Put them in the place of weights of that name.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make weights from elsewhere into a folder that is served; Diffusers loads it too."""
    settings = load_settings(**given(data_dir=data_dir))
    made = installable(settings, name, like)
    _ask_for_acceptance(made, accept_licence=accept_licence)
    swaps = {
        "--vae": vae,
        "--text-encoder": text_encoder,
        "--text-encoder-2": text_encoder_2,
        "--tokenizer": tokenizer,
        "--tokenizer-2": tokenizer_2,
        "--image-encoder": image_encoder,
        "--base": None if base is None else _base(settings, base),
    }
    arguments = [
        source,
        "--as",
        made.folder,
        "--into",
        str(settings.models_dir),
        "--hub",
        str(settings.data_dir / "hub"),
    ]
    arguments += [part for option, path in swaps.items() if path is not None for part in (option, str(path.absolute()))]
    arguments += ["--like", made.like] if made.like is not None else []
    arguments += ["--licence", made.licence.name]
    arguments += ["--licence-accepted"] if accept_licence else []
    arguments += ["--replace"] if replace else []
    _run(arguments)
    if made.row is not None:
        is_from_pure_noise = trained_to_pure_noise(settings.models_dir / made.folder)
        add_operator_row(settings.data_dir, OperatorRow(made.row.name, made.row.like, is_from_pure_noise))
    say(f"{made.folder} is installed; start or restart the service to serve it")


def trained_to_pure_noise(folder: Path) -> bool:
    """Whether the schedule of an installed folder says that its training ended with pure noise (zero terminal SNR)."""
    path = folder / "scheduler" / "scheduler_config.json"
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("rescale_betas_zero_snr") is True


def installable(settings: Settings, name: str, like: str | None) -> Installable:
    """What an import under this name makes.

    Raises:
        CommandError: it is no model, or one without weights.
        ConfigurationError: it cannot be an operator's row.
    """
    own = {row.name: row.like for row in operator_rows(settings.data_dir)}
    controls = {row.name: row for row in with_operator_controls(operator_rows(settings.data_dir))}
    if like is not None or name in own:
        root = like or own[name]
        return _own(settings, name, root) if root not in controls else _own_control(settings, name, root)
    by_network = {row.network: row.licence for row in CATALOG if row.network is not None}
    found = (
        by_network | _of_image_prompters() | {row.name: row.licence for row in controls.values() if not row.is_pattern}
    )
    if name in found:
        return Installable(name, None, found[name])
    if any(row.name == name for row in CATALOG):
        raise CommandError(f"{name} has no public weights; import weights of your own --like a model, and set an alias")
    known = ", ".join(sorted(found))
    raise CommandError(
        f"there is no model {name!r}; known are {known}. For weights of your own, say --like one of them"
    )


def _own(settings: Settings, name: str, like: str) -> Installable:
    others = tuple(row for row in operator_rows(settings.data_dir) if row.name != name)
    catalog = Catalog(with_operator_rows(CATALOG, others))
    row = OperatorRow(name, like)
    made = checked_row(row, catalog.rows)
    # A row may be like another of the operator's; the network's rules are those of the shipped one at the end.
    likes = {one.name: one.like for one in others}
    while like in likes:
        like = likes[like]
    return Installable(name, catalog.by_name(like).network, made.licence, row)


def _own_control(settings: Settings, name: str, like: str) -> Installable:
    """A ControlNet or image adapter of the operator's, and the published one at the end of what it is like."""
    others = tuple(row for row in operator_rows(settings.data_dir) if row.name != name)
    controls = {row.name: row for row in with_operator_controls(others)}
    likes = {one.name: one.like for one in others}
    while like in likes:
        like = likes[like]
    if like not in controls:
        raise CommandError(f"{name} is like {like}, which is no ControlNet and no image adapter")
    row = OperatorRow(name, like)
    made = checked_control(row, controls[like], with_operator_rows(CATALOG, others))
    return Installable(name, like, made.licence, row)


def _of_image_prompters() -> dict[str, Licence]:
    """Networks that have no route of their own, under the strictest licence of those that they prompt."""
    prompted = sorted((row for row in CATALOG if row.network is not None), key=lambda row: row.licence.needs_acceptance)
    return {row.takes.image_prompter: row.licence for row in prompted if row.takes.image_prompter is not None}


def _ask_for_acceptance(made: Installable, *, accept_licence: bool) -> None:
    if not made.licence.needs_acceptance:
        return
    say(f"{made.folder} is under {made.licence.name} ({made.licence.url}): {made.licence.note}")
    if not accept_licence:
        raise CommandError(f"{made.folder} is imported only with --accept-licence: you accept {made.licence.name}")


def _base(settings: Settings, base: str) -> Path:
    """An installed model by its name, else a folder."""
    installed = settings.models_dir / base
    return installed if Path(base).name == base and installed.is_dir() else Path(base)


def _run(arguments: list[str]) -> None:
    """Run the import. It says itself what is wrong; an interrupt from the terminal reaches it too, and it cleans up."""
    keep_to_own_packages()
    set_default_variable("HF_HUB_DISABLE_TELEMETRY", "1")
    child = subprocess.Popen([sys.executable, "-m", "models.importing", *arguments])
    while True:
        try:
            status = child.wait()
            break
        except KeyboardInterrupt:
            continue
    if status != 0:
        raise typer.Exit(STOPPED if status in (STOPPED, -2) else 1)
