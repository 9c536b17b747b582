"""The command tree, and the one place where an error becomes a line on the error stream and an exit code."""

import sys
import warnings

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.cli.accounts import accounts, credit
from app.cli.database import database
from app.cli.generate import generate
from app.cli.keys import keys
from app.cli.ledger import ledger
from app.cli.networks import networks
from app.cli.processes import gateway, worker
from app.cli.terminal import CommandError, say
from app.cli.up import up
from app.client import ClientError
from app.core.errors import ConfigurationError, ServiceError
from app.supervisor import GaveUp

FORESEEN = (CommandError, ClientError, ConfigurationError, ServiceError, GaveUp, SQLAlchemyError, OSError)


def program() -> typer.Typer:
    """Every command, under the name that people type."""
    root = typer.Typer(
        name="darkroom",
        help="Your own image-generation service.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for command in (up, gateway, worker, generate):
        root.command()(command)
    for name, group in (
        ("keys", keys),
        ("accounts", accounts),
        ("credits", credit),
        ("models", networks),
        ("ledger", ledger),
        ("db", database),
    ):
        root.add_typer(group, name=name)
    return root


def main() -> None:
    """Entry point of `darkroom`."""
    warnings.formatwarning = _one_line
    try:
        program()()
    except FORESEEN as error:
        say(f"darkroom: {first_line(error)}")
        sys.exit(1)


def first_line(error: BaseException) -> str:
    """Database drivers append the statement and its values; those help nobody on a terminal and may be private."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).splitlines()
    return lines[0] if lines else type(cause).__name__


def _one_line(message: Warning | str, *_: object) -> str:
    return f"darkroom: {message}\n"
