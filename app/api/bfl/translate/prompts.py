"""How a request wants its prompts read: syntax, layers left out, learnt words. What does not fit the network is refused."""

import re
from typing import TypedDict

from app.api.bfl.schemas.fields import Inputs, NegativePrompt, OptionalPrompt, RequiredPrompt
from app.api.bfl.schemas.prompts import PromptReading
from app.api.bfl.translate.controls import check_beside
from app.api.bfl.translate.limits import within
from app.core.catalog import Resolved
from app.core.errors import InvalidRequest
from app.core.spec import PromptSyntax

MAX_WEIGHT = 10.0
"""Upwards and downwards; models.text.emphasis says the same of products of weights."""
MAX_CHARS = 16_384
"""Of a prompt of any length: more than its 32 chunks of 75 tokens hold of any language."""
_NUMBER = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)")


class Reading(TypedDict):
    """Fields of a spec."""

    prompt_syntax: PromptSyntax
    clip_skip: int
    embeddings: tuple[str, ...]


def reading_of(body: Inputs, model: Resolved) -> Reading:
    """How the prompts are read. Raises InvalidRequest."""
    if not isinstance(body, PromptReading):
        return Reading(prompt_syntax="plain", clip_skip=0, embeddings=())
    syntax, names = body.prompt_syntax or "plain", tuple(dict.fromkeys(body.embeddings or ()))
    most_skip, given = model.runs.takes.clip_skip, body.clip_skip or 0
    if most_skip is None:
        _refuse(model, prompt_syntax=None if syntax == "plain" else syntax, clip_skip=given, embeddings=names)
        return Reading(prompt_syntax="plain", clip_skip=0, embeddings=())
    if syntax == "a1111":
        _check_emphasis(body)
    for name in names:
        check_beside("embeddings", name, model, "embedding")
    return Reading(prompt_syntax=syntax, clip_skip=int(within("clip_skip", given, 0, most_skip)), embeddings=names)


def _refuse(model: Resolved, **given: object) -> None:
    """A network that reads prompts otherwise, under an alias."""
    for field, value in given.items():
        if value:
            message = f"{field}: {model.runs.name} reads its prompts as they are"
            raise InvalidRequest(message, field=field, value=value, limit="absent or null")


def _check_emphasis(body: Inputs) -> None:
    for field, text in _prompts(body).items():
        if len(text) > MAX_CHARS:
            limit = f"{MAX_CHARS} characters with prompt_syntax a1111"
            raise InvalidRequest(f"{field} is too long", field=field, value=f"{len(text)} characters", limit=limit)
        for number in _NUMBER.findall(text):
            if abs(float(number)) > MAX_WEIGHT:
                limit = f"{-MAX_WEIGHT:g} to {MAX_WEIGHT:g}"
                raise InvalidRequest(f"{field}: a weight must be {limit}", field=field, value=number[:40], limit=limit)


def _prompts(body: Inputs) -> dict[str, str]:
    prompt = body.prompt if isinstance(body, RequiredPrompt | OptionalPrompt) else None
    negative = body.negative_prompt if isinstance(body, NegativePrompt) else None
    return {"prompt": prompt or "", "negative_prompt": negative or ""}
