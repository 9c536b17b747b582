"""The messages, their one-line JSON form, and the bus they travel on. Transport is left to the other files here.

Every message is a hint: whoever misses one finds the truth in SQL within a second.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast


@dataclass(frozen=True)
class Ring:
    """There is work for this pool."""

    pool: str


@dataclass(frozen=True)
class Cancel:
    """Somebody asked for this generation to stop; the request itself is in SQL."""

    generation_id: str


@dataclass(frozen=True)
class Progress:
    """A worker finished `step` of `num_steps` denoise steps."""

    generation_id: str
    step: int
    num_steps: int


@dataclass(frozen=True)
class Done:
    """A generation has settled in this state."""

    generation_id: str
    task_id: str
    state: str


Event = Ring | Cancel | Progress | Done

_KINDS: dict[str, type[Event]] = {"ring": Ring, "cancel": Cancel, "progress": Progress, "done": Done}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class EventBus(Protocol):
    """One end of the bus: what is published here is received at every other end that is connected at the time."""

    async def start(self) -> None: ...

    def publish(self, event: Event) -> None:
        """Send without waiting; a peer that cannot keep up, or nobody listening, loses the message."""
        ...

    async def receive(self) -> Event:
        """The next message from the other side."""
        ...

    async def close(self) -> None: ...


def encode(event: Event) -> bytes:
    """One line of JSON, newline included."""
    return json.dumps({"kind": _NAMES[type(event)], **asdict(event)}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Event | None:
    """The message in this line, or None for anything that is not one (a peer of another version, say)."""
    try:
        parsed: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(parsed, dict):
        return None
    fields = cast("dict[str, Any]", parsed)
    kind = _KINDS.get(str(fields.pop("kind", "")))
    if kind is None or {name: type(value) for name, value in fields.items()} != kind.__annotations__:
        return None
    return kind(**fields)
