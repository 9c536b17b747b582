"""Names and shapes of a file's tensors, asked for what gives a network away. Shapes come from strangers: nothing is taken for granted."""

import re
from collections.abc import Mapping
from pathlib import Path

from models.errors import MissingKeys, ShapeMismatch

Shape = tuple[int, ...]


class Shapes:
    """The tensors of a file whose names begin with a prefix; the prefix is left out of all names given and returned."""

    def __init__(self, where: Path | str, shapes: Mapping[str, Shape], prefix: str = "") -> None:
        self.where = where
        self.prefix = prefix
        self._all = shapes
        self._held = {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}

    def names(self) -> list[str]:
        """Names of the tensors, sorted."""
        return sorted(self._held)

    def beside(self) -> tuple[str, ...]:
        """What the names of all other tensors begin with, up to the first dot."""
        return tuple(sorted({name.split(".")[0] for name in self._all if not name.startswith(self.prefix)}))

    def has(self, *names: str) -> bool:
        """Whether all these tensors are there."""
        return all(name in self._held for name in names)

    def any_name(self, pattern: re.Pattern[str]) -> str | None:
        """The first name in which the pattern is found."""
        return next((name for name in self.names() if pattern.search(name)), None)

    def under(self, prefix: str) -> "Shapes":
        """The tensors whose names begin with a further prefix."""
        return Shapes(self.where, self._all, self.prefix + prefix)

    def rank(self, name: str) -> int:
        """How many dimensions a tensor has; 0 for one that is not there."""
        return len(self._held.get(name, ()))

    def of(self, name: str, rank: int) -> Shape:
        """Shape of a tensor.

        Raises:
            MissingKeys: it is not there.
            ShapeMismatch: it has another number of dimensions, or an empty one.
        """
        if name not in self._held:
            raise MissingKeys(self.where, "missing keys", [self.prefix + name])
        shape = self._held[name]
        if len(shape) != rank or min(shape, default=0) < 1:
            raise self.refusal(name, f"{rank} positive sizes")
        return shape

    def count(self, parts: str) -> int:
        """How many numbered parts ("blocks." counts blocks.0.*, blocks.1.* and so on) there are.

        Raises:
            MissingKeys: there is none, or a number is left out.
        """
        numbered = re.compile(re.escape(parts) + r"(0|[1-9]\d{0,5})\.")
        numbers = {int(match[1]) for name in self._held if (match := numbered.match(name))}
        absent = next(number for number in range(len(numbers) + 1) if number not in numbers)
        if absent < max(len(numbers), 1):
            raise MissingKeys(self.where, "missing keys", [f"{self.prefix}{parts}{absent}.*"])
        return len(numbers)

    def refusal(self, name: str, wanted: str) -> ShapeMismatch:
        """The error for a tensor whose shape cannot be."""
        return ShapeMismatch(
            self.where, "wrong shapes", [f"{self.prefix}{name} is {list(self._held[name])}, not {wanted}"]
        )
