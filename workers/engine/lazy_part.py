"""LazyPart: a network that stands beside others, known before its weights are there and while they are away."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Generic, Protocol, TypeVar, cast

from torch import nn

from models.errors import CheckpointError


class Part(Protocol):
    """What a folder holds that draws nothing itself."""

    @property
    def revision(self) -> str:
        """Changes when any weight does."""
        ...


Held = TypeVar("Held", bound=Part)


def weight_bytes(part: Part) -> int:
    """Bytes of all parameters and buffers of what a folder holds; the same on the meta device."""
    return sum(tensor.nbytes for module in _modules(part) for tensor in (*module.parameters(), *module.buffers()))


def _modules(value: object) -> Iterator[nn.Module]:
    """The networks that a value is or holds, however deep in tuples and dataclasses."""
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, tuple):
        for inner in cast("tuple[object, ...]", value):
            yield from _modules(inner)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _modules(getattr(value, field.name))


class LazyPart(Generic[Held]):
    """A part that workers.engine.residency loads and unloads."""

    def __init__(self, name: str, outline: Held, load: Callable[[], Held]) -> None:
        """
        Args:
            name: of the part.
            outline: the same on the meta device: all is there but the numbers.
            load: returns it on the device.
        """
        self.name = name
        self.revision = outline.revision
        self.num_bytes = weight_bytes(outline)
        self._outline = outline
        self._load = load
        self._loaded: Held | None = None

    @property
    def current(self) -> Held:
        """The part with its weights while they are there, else its outline."""
        return self._outline if self._loaded is None else self._loaded

    def load(self) -> None:
        """Bring the weights to the device.

        Raises:
            CheckpointError: they cannot be read, or are others than those that the worker found.
        """
        part = self._load()
        if part.revision != self.revision:
            raise CheckpointError(f"the weights of {self.name} have changed since this worker was started")
        self._loaded = part

    def unload(self) -> None:
        """Let go of the weights."""
        self._loaded = None


class Current(Mapping[str, Held]):
    """Parts by name as they are at the moment of asking."""

    def __init__(self, parts: Mapping[str, LazyPart[Held]]) -> None:
        self._parts = parts

    def __getitem__(self, name: str) -> Held:
        return self._parts[name].current

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)
