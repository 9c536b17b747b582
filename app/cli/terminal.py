"""What commands say, and how they fail: one line on the standard error stream."""

import typer


class CommandError(Exception):
    """A command cannot do what was asked; the message says why, to a person, on one line."""


def say(line: str) -> None:
    """A remark beside the command's output."""
    typer.echo(line, err=True)
