"""The `darkroom` command: one module per group of commands, put together in program.py."""

from app.cli.program import main

__all__ = ["main"]
