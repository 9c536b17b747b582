"""What the routes read, for the API's description: they check bodies themselves, after the key, so FastAPI does not know."""

from typing import Any

from app.api.bfl.schemas.bodies import body_of
from app.core.catalog import Catalog
from app.core.catalog_row import CatalogRow
from app.core.samplers import SAMPLERS, SCHEDULES, Trajectory, fitting


def describe_bodies(description: dict[str, Any], catalog: Catalog, prefix: str) -> None:
    """Give every model's route the schema of its body, with the defaults and limits of its row."""
    for row in catalog.rows:
        content = {"application/json": {"schema": described(row)}}
        description["paths"][f"{prefix}/{row.name}"]["post"]["requestBody"] = {"required": True, "content": content}


def described(row: CatalogRow) -> dict[str, Any]:
    """The JSON schema of a row's body."""
    schema = body_of(row).model_json_schema()
    for field, facts in _facts(row).items():
        if field in schema["properties"]:
            _add(schema["properties"][field], facts)
    return schema


def _facts(row: CatalogRow) -> dict[str, dict[str, Any]]:
    size = row.size
    multiple = (
        f"rounded to the nearest multiple of {size.multiple}" if size.rounds else f"a multiple of {size.multiple}"
    )
    sides = f"Pixels, {size.min_side} to {size.max_side}, {multiple}, {size.max_pixels} pixels in all."
    native = " 0 or null: as the picture that is changed or edited, else {}."
    return {
        "width": {"description": sides + native.format(size.native_width)},
        "height": {"description": sides + native.format(size.native_height)},
        "steps": {"default": row.steps.default, "minimum": row.steps.min, "maximum": row.steps.max},
        "guidance": {"default": row.guidance.default, "minimum": row.guidance.min, "maximum": row.guidance.max},
        "sampler": {"description": f"{', '.join(fitting(row.trajectory))}; others' names too. null = the model's own."},
        "schedule": {"description": f"{_schedules(row.trajectory)}; others' names too. null = the sampler's own."},
        "max_sequence_length": {"minimum": 1, "maximum": row.max_sequence_length},
        "output_format": {"default": row.default_format},
    }


def _schedules(trajectory: Trajectory) -> str:
    return ", ".join(name for name in SCHEDULES if any(name in row.schedules(trajectory) for row in SAMPLERS.values()))


def _add(field: dict[str, Any], facts: dict[str, Any]) -> None:
    """Bounds belong to the number of "a number or null", all else to the field."""
    number = field.get("anyOf", [field])[0]
    for name, value in facts.items():
        (number if name in ("minimum", "maximum") else field)[name] = value
