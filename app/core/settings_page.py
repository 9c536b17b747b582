"""docs/settings.md, written from the settings themselves: `python -m app.core.settings_page > docs/settings.md`."""

import sys
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.core.config import DELIMITER, PREFIX, Group, Settings

HEAD = """# Settings

Every setting is an environment variable; names of groups and fields join with two underscores. Lists and objects are JSON.
Unknown `DARKROOM_` names are warned about, and refused when they are almost a setting.
This page is written from `app/core/config.py`; do not edit it by hand.
"""
DERIVED = "see right"


def settings_page() -> str:
    """Return the page: a table for the single fields, then one for each group."""
    single: list[str] = []
    sections: list[str] = []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            rows = [_row(f"{name}{DELIMITER}{leaf}", inner) for leaf, inner in group.model_fields.items()]
            sections.append("\n".join([f"\n## {name}\n\n{group.__doc__}\n", *_header(), *rows]))
        else:
            single.append(_row(name, field))
    return "\n".join([HEAD, *_header(), *single, *sections]) + "\n"


def _header() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split()).replace("|", "\\|")
    return f"| `{PREFIX}{name.upper()}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return DERIVED
    value: object = field.default
    if value is None or value == "" or isinstance(value, SecretStr):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
