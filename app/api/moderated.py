"""What callers are told of an image that moderation blocked: which part of it, and why."""

from collections.abc import Sequence

from app.core.states import GenerationState
from app.generations.repository import GenerationRow
from app.moderation.verdict import Verdict

MODERATED = (GenerationState.REQUEST_MODERATED, GenerationState.CONTENT_MODERATED)


def reasons_of(generation: GenerationRow) -> list[str]:
    """Names of categories, as moderation gave them."""
    return list(Verdict.from_text(generation.error_message or "").reasons)


def moderated_text(generations: Sequence[GenerationRow]) -> str:
    """A sentence about the first image that was blocked."""
    first = next(one for one in generations if one.state in MODERATED)
    blocked = "the picture" if first.state == GenerationState.CONTENT_MODERATED else "the request"
    why = ", ".join(reasons_of(first)) or "no reason given"
    return f"{blocked} was blocked by this service's moderation ({why}); nothing was charged"
