"""docs/settings.md, written from the settings themselves: `python -m app.core.settings_page > docs/settings.md`."""

import ast
import inspect
import sys
from collections.abc import Iterator
from itertools import pairwise

from pydantic import BaseModel, SecretStr
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
    said = meanings(Settings)
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            sections.append("\n".join([f"\n## {name}\n\n{group.__doc__}\n", *_header(), *_rows(name, group)]))
        else:
            single.append(_row(name, field, said[name]))
    return "\n".join([HEAD, *_header(), *single, *sections]) + "\n"


def _header() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"


def meanings(group: type[BaseModel]) -> dict[str, str]:
    """The docstring of every field of a class, "" where there is none. Read from its source here, where it is wanted, and not by
    pydantic whenever a process starts."""
    (definition,) = ast.parse(inspect.getsource(group)).body
    assert isinstance(definition, ast.ClassDef)
    said = {
        field.target.id: str(after.value.value)
        for field, after in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }
    return {name: said.get(name, "") for name in group.model_fields}


def _rows(name: str, group: type[Group]) -> Iterator[str]:
    said = meanings(group)
    for leaf, field in group.model_fields.items():
        yield _row(f"{name}{DELIMITER}{leaf}", field, said[leaf])


def _row(name: str, field: FieldInfo, docstring: str) -> str:
    meaning = " ".join(docstring.split()).replace("|", "\\|")
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
