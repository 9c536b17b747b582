"""Who made the file: the name and version under which this program signs."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

NAME: Final = "Darkroom"


def software_version() -> str:
    """Of the installed distribution; a checkout that was never installed has none."""
    try:
        return version("darkroom")
    except PackageNotFoundError:
        return "0"
