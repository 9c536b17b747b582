"""The values that cross between the threads of a worker. Events of single rows are workers.engine.events."""

from dataclasses import dataclass

from workers.engine.events import EngineEvent
from workers.engine.row import Request, RowKey
from workers.engine.scheduler import Opening


@dataclass(frozen=True, slots=True)
class Admit:
    """Take this row in."""

    request: Request


@dataclass(frozen=True, slots=True)
class Remove:
    """Drop this row at the next step boundary, if it is still there."""

    key: RowKey


@dataclass(frozen=True, slots=True)
class ReleaseUnstarted:
    """Give up every row that has not begun."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Return from the loop after the step that is running."""


Command = Admit | Remove | ReleaseUnstarted | Stop


@dataclass(frozen=True, slots=True)
class Loaded:
    """The weights are on the device: revision by network."""

    revisions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Removed:
    """The row is no longer in the engine."""

    key: RowKey


@dataclass(frozen=True, slots=True)
class Released:
    """Unstarted rows that the engine gave up; they can go back to the queue."""

    keys: tuple[RowKey, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """What the full window admits from now on; None while it is not full or admits nothing."""

    opening: Opening | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The engine's thread is about to end."""


@dataclass(frozen=True, slots=True)
class EndWanted:
    """The process was told to end: drain."""


Reply = Loaded | Removed | Released | Opened | Ended | EndWanted | EngineEvent
