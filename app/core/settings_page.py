"""docs/settings.md, made from the settings themselves: variable, default, meaning."""

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.core.config import Group, Settings, setting_names

HEADER = "| variable | default | meaning |\n| --- | --- | --- |\n"


def settings_table() -> str:
    """A Markdown table with a row for every variable."""
    return HEADER + "".join(_row(variable, _field(path)) for variable, path in setting_names().items())


def _field(path: str) -> FieldInfo:
    name, _, leaf = path.partition(".")
    field = Settings.model_fields[name]
    group = field.annotation
    if leaf and isinstance(group, type) and issubclass(group, Group):
        return group.model_fields[leaf]
    return field


def _row(variable: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    return f"| `{variable}` | {_default(field)} | {meaning} |\n"


def _default(field: FieldInfo) -> str:
    """As an operator would write it; a computed or empty default is left to the meaning."""
    if field.default is PydanticUndefined or field.default in (None, "", [], {}):
        return ""
    return f"`{str(field.default).lower()}`" if isinstance(field.default, bool) else f"`{field.default}`"
