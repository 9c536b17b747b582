"""What the I/O side of a worker talks to, and in which rhythm."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from app.core.dispatch.base import Doorbell
from app.core.events.base import EventBus
from app.core.storage.base import ObjectStore
from app.core.work.base import WorkPort
from app.moderation.verdict import PictureModerator
from workers.messages import Command
from workers.provenance.marks import UNMARKED, Marks


class EngineLink(Protocol):
    """The engine's thread as the other one sees it."""

    beats: int
    is_busy: bool

    def send(self, command: Command) -> None: ...


@dataclass(frozen=True)
class Links:
    """The outside world."""

    port: WorkPort
    store: ObjectStore
    events: EventBus
    doorbell: Doorbell
    schema_is_current: Callable[[], Awaitable[bool]]
    marks: Marks = UNMARKED
    judge: PictureModerator | None = None
    """Who looks at finished pictures before anybody else does; None: nobody."""


@dataclass(frozen=True)
class Rhythm:
    """How many rows to hold, and how long things may take."""

    window: int
    renew_s: float
    drain_s: float
    hung_after_s: float
    """The longest that a single step may take before the engine counts as hung."""
    goodbye_s: float = 3.0
    """Seconds for the last writes of a worker that ends."""
