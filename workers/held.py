"""Held: the rows whose lease this worker has, wherever they stand: waiting, in the engine, or being settled."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.claims import Claim
from workers.engine.row import RowKey


@dataclass(slots=True, eq=False)
class HeldRow:
    """One claimed generation."""

    claim: Claim
    is_in_engine: bool = True
    is_cancelled: bool = False
    """The customer asked for it to stop."""

    @property
    def key(self) -> RowKey:
        return (self.claim.generation_id, self.claim.attempt)


class HeldRows:
    """By generation: of two attempts of one generation only the later can be ours."""

    def __init__(self) -> None:
        self._rows: dict[str, HeldRow] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def num_in_engine(self) -> int:
        """Rows that take a place in the window; those being settled take none."""
        return sum(row.is_in_engine for row in self._rows.values())

    def add(self, claim: Claim) -> tuple[HeldRow, HeldRow | None]:
        """Hold this claim. Returns its row, and that of an earlier attempt that it shows to be lost, if one was still held."""
        earlier, row = self._rows.get(claim.generation_id), HeldRow(claim)
        self._rows[claim.generation_id] = row
        self._empty.clear()
        return row, earlier

    def get(self, key: RowKey) -> HeldRow | None:
        """The row, if exactly this attempt is held."""
        row = self._rows.get(key[0])
        return row if row is not None and row.key == key else None

    def of_generation(self, generation_id: str) -> HeldRow | None:
        """The row of this generation, whatever its attempt."""
        return self._rows.get(generation_id)

    def drop(self, key: RowKey) -> bool:
        """Hold it no longer; False when it was not held."""
        if self.get(key) is None:
            return False
        del self._rows[key[0]]
        if not self._rows:
            self._empty.set()
        return True

    def keys(self, *, in_engine_only: bool = False) -> list[RowKey]:
        """All of them, or those that are not being settled."""
        return [row.key for row in self._rows.values() if row.is_in_engine or not in_engine_only]

    def among(self, keys: Sequence[RowKey]) -> list[RowKey]:
        """Those of these keys that are held."""
        return [key for key in keys if self.get(key) is not None]

    async def wait_until_empty(self) -> None:
        """Returns when nothing is held."""
        await self._empty.wait()
