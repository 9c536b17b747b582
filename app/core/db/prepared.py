"""Statements that are sent at every request: compiled once for each kind of database, then handed to its driver as they are.

SQLAlchemy writes them and converts their values, as it would at each execution; what is left out is its bookkeeping of each
execution, which costs more than these statements do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Select
from sqlalchemy.types import TypeEngine

Convert = Callable[[Any], Any]
Question = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Compiled:
    """A statement in one database's words."""

    sql: str
    names: tuple[str, ...]
    """Of its parameters, in the driver's order."""
    constants: Mapping[str, Any]
    """Values of the parameters that stood in the statement."""
    binds: tuple[Convert | None, ...]
    results: tuple[Convert | None, ...]

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """What the driver is given."""
        known = {**self.constants, **values}
        return tuple(
            known[name] if convert is None else convert(known[name])
            for name, convert in zip(self.names, self.binds, strict=True)
        )

    def row(self, found: Sequence[Any]) -> tuple[Any, ...]:
        """What the driver gave, in Python's types."""
        return tuple(
            value if convert is None else convert(value) for value, convert in zip(found, self.results, strict=True)
        )


class Prepared:
    """A question with named parameters (`bindparam`), made when its module is loaded."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._compiled: dict[str, Compiled] = {}

    def on(self, dialect: Dialect) -> Compiled:
        """As this database has it."""
        known = self._compiled.get(dialect.name)
        if known is None:
            known = self._compiled[dialect.name] = _compile(self.question, dialect)
        return known


def _compile(question: Question, dialect: Dialect) -> Compiled:
    compiled = question.compile(dialect=dialect)
    names = tuple(compiled.positiontup or ())
    return Compiled(
        sql=str(compiled),
        names=names,
        constants={name: one.value for name, one in compiled.binds.items() if not one.required},
        binds=tuple(_on(compiled.binds[name].type, dialect).bind_processor(dialect) for name in names),
        results=tuple(
            _on(column.type, dialect).result_processor(dialect, None) for column in question.selected_columns
        ),
    )


def _on(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type as this database keeps it."""
    return kind.dialect_impl(dialect)
