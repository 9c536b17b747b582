"""The messages, their one-line JSON form, and the bus they travel on. Transport is left to the other files here.

Every message is a hint: whoever misses one finds the truth in SQL within a second.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, cast

MAX_PREVIEW_BYTES: Final = 32 << 10
"""Of a preview's JPEG: with it, a line is shorter than the longest that every transport takes."""


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
class Preview:
    """What a generation looks like after `step` of `num_steps` denoise steps. Sent only for one whose spec asks for previews."""

    generation_id: str
    step: int
    num_steps: int
    jpeg: bytes
    """A small picture, at most MAX_PREVIEW_BYTES; Base64 in the line."""


@dataclass(frozen=True)
class Done:
    """A generation has settled in this state."""

    generation_id: str
    task_id: str
    state: str


Event = Ring | Cancel | Progress | Preview | Done

_KINDS: dict[str, type[Event]] = {
    "ring": Ring,
    "cancel": Cancel,
    "progress": Progress,
    "preview": Preview,
    "done": Done,
}
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
    fields = {name: _plain(value) for name, value in asdict(event).items()}
    return json.dumps({"kind": _NAMES[type(event)], **fields}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Event | None:
    """The message in this line, or None for anything that is not one (a peer of another version, say)."""
    try:
        parsed: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(parsed, dict):
        return None
    plain = cast("dict[str, Any]", parsed)
    kind = _KINDS.get(str(plain.pop("kind", "")))
    fields = None if kind is None else _fields(plain, kind.__annotations__)
    return None if kind is None or fields is None else kind(**fields)


def _plain(value: str | int | bytes) -> str | int:
    """As JSON has it."""
    return b64encode(value).decode() if isinstance(value, bytes) else value


def _fields(plain: dict[str, Any], types: Mapping[str, type]) -> dict[str, Any] | None:
    """The fields of a message in their own types; None if one is missing, unknown or of another type."""
    if {name: type(value) for name, value in plain.items()} != {
        name: str if kind is bytes else kind for name, kind in types.items()
    }:
        return None
    try:
        return {
            name: b64decode(value, validate=True) if types[name] is bytes else value for name, value in plain.items()
        }
    except ValueError:
        return None
