"""The operator's own rows of the catalogue: weights that were imported under a name of their own, like a shipped row.

They live in catalog.json in the data directory. A gateway elsewhere needs a copy of that file, as its workers need the weights.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.core.catalog import CATALOG, Catalog, CatalogRow
from app.core.config import Settings
from app.core.control_rows import BESIDE_ROWS, ControlRow
from app.core.errors import ConfigurationError
from app.core.samplers import Trajectory

FILE = "catalog.json"
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
RESERVED = frozenset(
    (
        "account", "accounts", "admin", "chat", "credits", "files", "finetune", "flux-pro-1.0-canny-finetuned",
        "flux-pro-1.0-depth-finetuned", "flux-pro-1.0-fill-finetuned", "flux-pro-1.1-ultra-finetuned", "flux-pro-finetuned",
        "generations", "images", "keys", "licenses", "me", "models", "predictions", "pricing", "results", "tasks", "usage",
        "webhooks",
    )
)  # fmt: skip
"""First parts of the gateway's other routes under /v1, and of those that clients of others expect there."""


@dataclass(frozen=True)
class OperatorRow:
    """A public name of the operator's, and the shipped row whose limits, schema, licence and price it has.

    Attributes:
        from_pure_noise: whether these weights of a diffusion were trained down to pure noise (zero terminal SNR).
    """

    name: str
    like: str
    from_pure_noise: bool = False


class _Entry(BaseModel, defer_build=True):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(pattern=rf"^{NAME.pattern}$")]
    like: str
    from_pure_noise: bool = False


class _File(BaseModel, defer_build=True):
    model_config = ConfigDict(extra="forbid")
    version: int = Field(ge=1, le=1)
    rows: list[_Entry]


def load_catalog(settings: Settings) -> Catalog:
    """The shipped rows and the operator's, with the aliases of the settings.

    Raises:
        ConfigurationError: catalog.json or an alias makes no sense.
    """
    added = operator_rows(settings.data_dir)
    return Catalog(with_operator_rows(CATALOG, added), settings.aliases, with_operator_controls(added))


def operator_rows(data_dir: Path) -> tuple[OperatorRow, ...]:
    """The rows in a data directory; none where there is no file.

    Raises:
        ConfigurationError: the file is broken.
    """
    path = data_dir / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        parsed = _File.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {f'{where}: ' if where else ''}{first['msg']}") from None
    return tuple(OperatorRow(entry.name, entry.like, entry.from_pure_noise) for entry in parsed.rows)


def with_operator_rows(shipped: Sequence[CatalogRow], added: Sequence[OperatorRow]) -> tuple[CatalogRow, ...]:
    """All rows; each of the operator's runs on the weights of its own name.

    Raises:
        ConfigurationError: a name is taken or is none, or a row is like one that has no weights or is not there.
    """
    rows, controls = {row.name: row for row in shipped}, {control.name for control in with_operator_controls(added)}
    for row in added:
        if row.name not in controls:
            rows[row.name] = checked_row(row, tuple(rows.values()))
    return tuple(rows.values())


def with_operator_controls(added: Sequence[OperatorRow]) -> tuple[ControlRow, ...]:
    """All ControlNets and image adapters: the published ones, and the operator's, each of which is like one that stands before it."""
    controls = {control.name: control for control in BESIDE_ROWS}
    for row in added:
        like = controls.get(row.like)
        if like is not None:
            controls[row.name] = replace(like, name=row.name, is_pattern=False)
    return tuple(controls.values())


def checked_control(row: OperatorRow, like: ControlRow, rows: Sequence[CatalogRow]) -> ControlRow:
    """The ControlNet or image adapter that an operator's row makes.

    Raises:
        ConfigurationError: its name is taken or is none.
    """
    _check_name(row.name, rows)
    return replace(like, name=row.name, is_pattern=False)


def checked_row(row: OperatorRow, rows: Sequence[CatalogRow]) -> CatalogRow:
    """The row of the catalogue that an operator's row makes.

    Raises:
        ConfigurationError: as for with_operator_rows.
    """
    by_name = {one.name: one for one in rows}
    _check_name(row.name, rows)
    like = by_name.get(row.like)
    if like is None:
        raise ConfigurationError(
            f"{row.name!r} is like {row.like!r}, which is no model; known: {', '.join(sorted(by_name))}"
        )
    if like.network is None:
        raise ConfigurationError(f"{row.name!r} is like {row.like!r}, which has no weights")
    trajectory: Trajectory = "diffusion_from_pure_noise" if row.from_pure_noise else like.trajectory
    return replace(like, name=row.name, network=row.name, trajectory=trajectory)


def _check_name(name: str, rows: Sequence[CatalogRow]) -> None:
    if NAME.fullmatch(name) is None or name in RESERVED:
        raise ConfigurationError(
            f"{name!r} cannot be a model's name: it takes small letters, digits, dots and hyphens, "
            f"and none of {', '.join(sorted(RESERVED))}"
        )
    if name in {*(one.name for one in rows), *(one.network for one in rows), *(one.name for one in BESIDE_ROWS)}:
        raise ConfigurationError(f"{name!r} is in the catalogue already")


def _entry(row: OperatorRow) -> _Entry:
    return _Entry(name=row.name, like=row.like, from_pure_noise=row.from_pure_noise)


def add_operator_row(data_dir: Path, row: OperatorRow) -> None:
    """Write a row into the file, in the place of one with its name; readers see the old file or the new one."""
    rows = [*(one for one in operator_rows(data_dir) if one.name != row.name), row]
    content = {"version": 1, "rows": [_entry(one).model_dump(exclude_defaults=True) for one in rows]}
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = data_dir / f".{FILE}.{os.getpid()}.partial"
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(data_dir / FILE)
