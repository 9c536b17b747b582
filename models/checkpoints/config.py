"""Configuration files of components: JSON objects, read field by field, so that what nobody read can be refused."""

import json
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

from models.errors import MalformedConfig, MissingComponent

MAX_BYTES = 16 * 2**20
"""Of a configuration file or an index of shards; published ones have less than 1 MB."""


def read_object(path: Path) -> dict[str, object]:
    """Read a file that holds one JSON object, in which no name is there twice.

    Raises:
        MissingComponent: there is no such file.
        MalformedConfig: it is something else, or longer than MAX_BYTES.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise MalformedConfig(f"{path} has more than {MAX_BYTES} bytes")
        value: object = json.loads(text.decode("utf-8"), object_pairs_hook=without_duplicates)
    except FileNotFoundError as error:
        raise MissingComponent(f"{path} is missing") from error
    except RecursionError:
        raise MalformedConfig(f"{path} is nested too deeply") from None
    except (OSError, ValueError) as error:
        raise MalformedConfig(f"{path} is no JSON file: {error}") from error
    if not isinstance(value, dict):
        raise MalformedConfig(f"{path} holds no JSON object")
    return cast(dict[str, object], value)


def without_duplicates(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Make a JSON object of its pairs, as json's object_pairs_hook. Raises ValueError when a name is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        ordered = sorted(name for name, _ in pairs)
        twice = next(one for one, other in pairwise(ordered) if one == other)
        raise ValueError(f"{twice[:200]} is there twice")
    return found


class Config:
    """One configuration file. Every getter checks the type and marks the field as read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fields = read_object(path)
        self._read: set[str] = set()

    def has(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self._fields.get(field) is not None

    def text(self, field: str, default: str | None = None) -> str:
        value = self._value(field, default)
        if not isinstance(value, str):
            raise self.refusal(field, "a text")
        return value

    def flag(self, field: str, default: bool | None = None) -> bool:
        value = self._value(field, default)
        if not isinstance(value, bool):
            raise self.refusal(field, "true or false")
        return value

    def integer(self, field: str, default: int | None = None, *, at_least: int = 1) -> int:
        value = self._value(field, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise self.refusal(field, f"a whole number, at least {at_least}")
        return value

    def number(self, field: str, default: float | None = None) -> float:
        value = self._value(field, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.refusal(field, "a number")
        return float(value)

    def integers(self, field: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        value = self._value(field, default)
        items = cast(Collection[object], value) if isinstance(value, list | tuple) else ()
        numbers = tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool) and item > 0)
        if not numbers or len(numbers) != len(items):
            raise self.refusal(field, "a list of positive whole numbers")
        return numbers

    def per_level(self, field: str, levels: int, default: int | None = None) -> tuple[int, ...]:
        """One number for every level, or a list with one for each."""
        if not isinstance(self._value(field, default), list):
            return (self.integer(field, default),) * levels
        numbers = self.integers(field)
        if len(numbers) != levels:
            raise self.refusal(field, f"a list of {levels} numbers")
        return numbers

    def texts(self, field: str) -> tuple[str, ...]:
        value = self._value(field, None)
        items = cast(Collection[object], value) if isinstance(value, list | tuple) else ()
        texts = tuple(item for item in items if isinstance(item, str))
        if len(texts) != len(items):
            raise self.refusal(field, "a list of texts")
        return texts

    def is_null_pair(self, field: str) -> bool:
        """Whether the field holds [null, null], as an index of components says that there is none."""
        return self._value(field, None) == [None, None]

    def require(self, field: str, *allowed: object) -> None:
        """Refuse a field that is there and holds anything but the allowed values."""
        if field in self._fields and self._value(field, None) not in allowed:
            raise self.refusal(field, " or ".join(json.dumps(value) for value in allowed))

    def ignore(self, *fields: str) -> None:
        """Mark fields that change nothing here."""
        self._read.update(fields)

    def finish(self) -> None:
        """Refuse fields that nobody read; names that begin with an underscore are notes of whoever wrote the file."""
        unread = sorted(field for field in self._fields.keys() - self._read if not field.startswith("_"))
        if unread:
            raise MalformedConfig(f"{self.path} has unknown fields: {', '.join(unread[:5])}")

    def refusal(self, field: str, wanted: str) -> MalformedConfig:
        """The error for a field that is not as wanted."""
        if field not in self._fields:
            return MalformedConfig(f"{self.path} lacks {field}")
        return MalformedConfig(f"{self.path}: {field} is {json.dumps(self._fields[field])}, not {wanted}")

    def _value(self, field: str, default: object) -> object:
        self._read.add(field)
        value = self._fields.get(field)
        return default if value is None else value


def write_object(path: Path, value: dict[str, object]) -> None:
    """Write a JSON object the way Diffusers does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
