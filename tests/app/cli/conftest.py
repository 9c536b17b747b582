"""The command line, for all tests of it."""

from tests.fixtures.command_line import darkroom

__all__ = ["darkroom"]
