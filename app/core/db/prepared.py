"""Statements that are sent at every request: compiled once for each kind of database, then handed to its driver as they are.

SQLAlchemy writes them and converts their values, as it would at each execution; what is left out is its bookkeeping of each
execution, which costs more than these statements do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Float, Insert, Numeric, Select
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import TypeEngine

Convert = Callable[[Any], Any]
Statement = Select[*tuple[Any, ...]] | ReturningInsert[*tuple[Any, ...]] | ReturningUpdate[*tuple[Any, ...]] | Insert


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
    """A statement with named parameters (`bindparam`), made when its module is loaded.

    Args:
        statement: of an INSERT without values the `columns` are its parameters.
        columns: that an INSERT gives, all that have defaults in Python among them.
    """

    def __init__(self, statement: Statement, columns: Sequence[str] | None = None) -> None:
        self.statement = statement
        self._columns = columns
        self._compiled: dict[str, Compiled] = {}

    def on(self, dialect: Dialect) -> Compiled:
        """As this database has it."""
        known = self._compiled.get(dialect.name)
        if known is None:
            known = self._compiled[dialect.name] = self._compile(dialect)
        return known

    def _compile(self, dialect: Dialect) -> Compiled:
        compiled = self.statement.compile(dialect=dialect, column_keys=self._columns)
        names = tuple(compiled.positiontup or ())
        return Compiled(
            sql=str(compiled),
            names=names,
            constants={name: one.value for name, one in compiled.binds.items() if not one.required},
            binds=tuple(_on(compiled.binds[name].type, dialect).bind_processor(dialect) for name in names),
            results=tuple(_reading(column.type, dialect) for column in self.statement.exported_columns),
        )


def _on(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type as this database keeps it."""
    return kind.dialect_impl(dialect)


def _reading(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    """What makes Python's value of the driver's. Drivers give numbers as they are; asked about them, PostgreSQL's types want a column."""
    return None if isinstance(kind, Numeric | Float) else _on(kind, dialect).result_processor(dialect, None)
