"""python -m models.importing: what `darkroom models import` runs in a process of its own."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from models.errors import ModelError
from models.importing.assembly import import_weights
from models.importing.embeddings import import_embedding, is_embedding_like
from models.importing.progress import shown
from models.importing.request import OPTIONS, Request


def main(argv: Sequence[str] | None = None) -> int:
    """Import weights; returns the exit status. A refusal is one line on the error stream."""
    request, console = parsed(argv), Console(stderr=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with shown(console) as stages:
            made = (import_embedding if is_embedding_like(request) else import_weights)(request, stages)
    except (ModelError, OSError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("stopped; nothing was installed")
        return 130
    sys.stdout.write(f"{made}\n")
    return 0


def parsed(argv: Sequence[str] | None = None) -> Request:
    """Read the command line; ends the process with a message when it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m models.importing", description="Makes folders that are served.")
    parser.add_argument("source", metavar="SRC", help="folder, file, or hf:ORG/REPO[@REVISION][:FILE]")
    parser.add_argument("--as", dest="name", required=True, help="name of the folder, and of the network")
    parser.add_argument("--into", type=_folder, required=True, help="folder of installed networks")
    parser.add_argument("--hub", type=_folder, required=True, help="folder that keeps what came from a hub")
    parser.add_argument("--like", help="network whose rules the weights follow")
    parser.add_argument("--base", type=_folder, help="installed folder that gives what the source lacks")
    for component, option in OPTIONS.items():
        parser.add_argument(option, type=_folder, dest=component, help=f"{component} in the place of the source's")
    parser.add_argument("--licence", default="", help="name of the weights' licence, for the record")
    parser.add_argument("--licence-accepted", action="store_true")
    parser.add_argument("--replace", action="store_true", help="take the place of a folder of that name")
    given = parser.parse_args(argv)
    return Request(
        source=given.source,
        name=_plain_name(parser, given.name),
        into=given.into,
        like=given.like,
        base=given.base,
        swaps={name: path for name in OPTIONS if (path := getattr(given, name)) is not None},
        licence=given.licence,
        is_accepted=given.licence_accepted,
        replace=given.replace,
        hub=given.hub,
    )


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _plain_name(parser: argparse.ArgumentParser, name: str) -> str:
    if not name or name.startswith(".") or Path(name).name != name:
        parser.error(f"{name!r} is no name of a folder")
    return name


if __name__ == "__main__":
    sys.exit(main())
