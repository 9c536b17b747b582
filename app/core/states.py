"""The states of a generation, and the state of a task as its generations make it."""

from collections.abc import Collection
from enum import StrEnum


class GenerationState(StrEnum):
    """queued and running are active and hold credits; the others are final and hold none."""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    ERROR = "error"
    CANCELLED = "cancelled"
    REQUEST_MODERATED = "request_moderated"
    CONTENT_MODERATED = "content_moderated"


ACTIVE_STATES = frozenset({GenerationState.QUEUED, GenerationState.RUNNING})
FINAL_STATES = frozenset(GenerationState) - ACTIVE_STATES

_WITHOUT_A_PICTURE = (
    GenerationState.CONTENT_MODERATED,
    GenerationState.REQUEST_MODERATED,
    GenerationState.ERROR,
    GenerationState.CANCELLED,
)


def task_state(states: Collection[str]) -> GenerationState:
    """Queued while all are; once all are final, ready if at least one has a picture, else why there is none."""
    found = {GenerationState(state) for state in states}
    if not found:
        raise ValueError("a task has at least one generation")
    if found == {GenerationState.QUEUED}:
        return GenerationState.QUEUED
    if found & ACTIVE_STATES:
        return GenerationState.RUNNING
    if GenerationState.READY in found:
        return GenerationState.READY
    return next(state for state in _WITHOUT_A_PICTURE if state in found)
