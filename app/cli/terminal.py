"""What commands say, and how they fail: one line on the standard error stream."""

import sys

import typer
from rich.console import Console
from rich.table import Table

WIDTH_OF_A_PIPE = 240


class CommandError(Exception):
    """A command cannot do what was asked; the message says why, to a person, on one line."""


def say(line: str) -> None:
    """A remark beside the command's output."""
    typer.echo(line, err=True)


def new_table(first: str, *others: str) -> Table:
    """A plain table whose first column, by which rows are named, is never broken."""
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other)
    return table


def show(table: Table) -> None:
    """Rows are broken to fit a terminal, and left whole for a program."""
    Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE).print(table)
