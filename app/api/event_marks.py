"""How much of a task a client has been told, and what is news to it: the ids of a task's events, and their order.

An id holds one mark an image, so any gateway can go on from it: what is news follows from the mark, the row and what was heard.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from app.core.events.base import Preview, Progress
from app.core.states import FINAL_STATES, GenerationState
from app.generations.watching import Standing

EventName = Literal["queued", "running", "step", "preview", "done", "failed", "cancelled"]
Phase = Literal["-", "q", "r", "e"]
"""Nothing told yet, queued, running, ended."""

_MARK = re.compile(r"(?P<phase>[-qre])(?P<attempt>\d{1,9})\.(?P<at>\d{1,9})\.(?P<preview>\d{1,9})")
_BETWEEN = "_"
_ENDS: dict[GenerationState, EventName] = {
    GenerationState.READY: "done",
    GenerationState.ERROR: "failed",
    GenerationState.REQUEST_MODERATED: "failed",
    GenerationState.CONTENT_MODERATED: "failed",
    GenerationState.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """How much of one image has been told. Within an attempt steps only grow; a higher attempt begins anew."""

    phase: Phase = "-"
    attempt: int = 0
    at: int = 0
    """The place while it is queued, the step while it runs."""
    preview: int = 0
    """The step of the last preview."""

    def __str__(self) -> str:
        return f"{self.phase}{self.attempt}.{self.at}.{self.preview}"


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of an image at the moment."""

    standing: Standing
    progress: Progress | None = None
    preview: Preview | None = None


@dataclass(frozen=True, slots=True)
class News:
    """One event of one image, and how much has been told with it."""

    name: EventName
    fields: dict[str, Any]
    mark: Mark


def id_of(marks: Sequence[Mark]) -> str:
    """What a client sends back as Last-Event-ID."""
    return _BETWEEN.join(map(str, marks))


def marks_of(event_id: str | None, num_images: int) -> list[Mark]:
    """The marks of an id; those of a new client where there is none, or one of another task."""
    found = [_MARK.fullmatch(one) for one in (event_id or "").split(_BETWEEN)]
    marks = [_mark(one) for one in found if one is not None]
    return marks if len(marks) == len(found) == num_images else [Mark()] * num_images


def has_ended(marks: Sequence[Mark]) -> bool:
    """Whether there is nothing more to tell."""
    return all(mark.phase == "e" for mark in marks)


def news(told: Mark, heard: Heard) -> Iterator[News]:
    """The events that are news to a client that was told so much, in their order; steps and previews are only the latest."""
    state, attempt = GenerationState(heard.standing.state), heard.standing.attempt
    if state in FINAL_STATES:
        if told.phase != "e":
            yield News(_ENDS[state], {}, Mark("e", attempt))
    elif state is GenerationState.QUEUED:
        now = Mark("q", attempt, heard.standing.position or 0)
        if now != told:
            yield News("queued", {"position": heard.standing.position}, now)
    else:
        yield from _news_of_running(told, attempt, heard)


def _news_of_running(told: Mark, attempt: int, heard: Heard) -> Iterator[News]:
    if (told.phase, told.attempt) != ("r", attempt):
        told = Mark("r", attempt)
        yield News("running", {"attempt": attempt}, told)
    step = heard.progress
    if step is not None and step.step > told.at:
        told = replace(told, at=step.step)
        yield News("step", {"step": step.step, "num_steps": step.num_steps}, told)
    shown = heard.preview
    if shown is not None and shown.step > told.preview:
        told = replace(told, preview=shown.step)
        yield News("preview", {"step": shown.step, "num_steps": shown.num_steps, "jpeg": shown.jpeg}, told)


def _mark(found: re.Match[str]) -> Mark:
    phases: dict[str, Phase] = {"-": "-", "q": "q", "r": "r", "e": "e"}
    return Mark(phases[found["phase"]], int(found["attempt"]), int(found["at"]), int(found["preview"]))
