"""BFL bodies into GenerationSpec. Decides what a request means; what it costs or whether it may run is decided elsewhere."""

import re
import secrets
from collections.abc import Iterator

from app.api.bfl.schemas import Dials, Inputs, NegativePrompt
from app.api.bfl.size import accepted_size
from app.core.catalog import CatalogRow, Resolved
from app.core.errors import InvalidRequest
from app.core.spec import MAX_SEED, GenerationSpec

MAX_SAFETY_TOLERANCE = 5
TOLERATED_SAFETY_TOLERANCE = 6
"""Older routes go to 6, and several clients send 6 to every route: it is taken as 5."""
RANDOM_SEED_LIMIT = 1 << 32
"""Random seeds stay small enough to survive a client that reads JSON numbers as doubles."""

_REFERENCE = re.compile(r"input_images?(_\d+|_blob_path)?|images?|image_prompt|image_url|control_image|mask")


def to_spec(body: Inputs, model: Resolved) -> GenerationSpec:
    """The request in our own words. Raises InvalidRequest; never leaves out silently what the caller asked for.

    A name without a network is held to its own limits, so that a bad request is told so before "not installed".
    """
    public, runs = model.row, model.runs
    _refuse_what_is_not_served(body)
    width, height = accepted_size(body.width, body.height, public, runs)
    return GenerationSpec(
        model=public.name,
        network=model.network or runs.name,
        prompt=_prompt(body.prompt),
        negative_prompt=_negative_prompt(body),
        seed=used_seed(body.seed),
        width=width,
        height=height,
        steps=_steps(body, public, runs),
        guidance=_guidance(body, public, runs),
        output_format=body.output_format or public.default_format,
    )


def used_seed(seed: int | None) -> int:
    """The seed that will be used: the caller's, taken modulo 2^63, or a random one."""
    return secrets.randbelow(RANDOM_SEED_LIMIT) if seed is None else seed % (MAX_SEED + 1)


def _prompt(prompt: str) -> str:
    if not prompt.strip():
        raise InvalidRequest("prompt must not be empty", field="prompt", value=prompt, limit="at least 1 character")
    return _without_nul("prompt", prompt)


def _negative_prompt(body: Inputs) -> str | None:
    if not isinstance(body, NegativePrompt) or body.negative_prompt is None or not body.negative_prompt.strip():
        return None
    return _without_nul("negative_prompt", body.negative_prompt)


def _without_nul(field: str, text: str) -> str:
    """PostgreSQL stores no NUL, and no prompt means one."""
    if "\0" in text:
        raise InvalidRequest(f"{field} must not contain NUL characters", field=field, value=text)
    return text


def _steps(body: Inputs, public: CatalogRow, runs: CatalogRow) -> int:
    if not isinstance(body, Dials) or body.steps is None:
        return runs.steps.default
    return int(_within("steps", body.steps, public.steps.min, public.steps.max))


def _guidance(body: Inputs, public: CatalogRow, runs: CatalogRow) -> float:
    if not isinstance(body, Dials) or body.guidance is None:
        return runs.guidance.default
    return _within("guidance", body.guidance, public.guidance.min, public.guidance.max)


def _within(field: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        limit = f"{least:g} to {most:g}"
        raise InvalidRequest(f"{field} must be {limit}", field=field, value=value, limit=limit)
    return value


def _refuse_what_is_not_served(body: Inputs) -> None:
    """What would change the picture or the delivery, and is not built yet, is refused by name."""
    for field, value in _sent(body):
        if value and _REFERENCE.fullmatch(field):
            message = f"{field}: this server does not take reference images yet; leave the field out"
            raise InvalidRequest(message, field=field, value=value, limit="absent, null or empty")
    if body.webhook_url:
        message = "webhook_url: this server does not send webhooks yet; poll polling_url"
        raise InvalidRequest(message, field="webhook_url", value=body.webhook_url, limit="absent, null or empty")
    if body.transparent_bg:
        message = "transparent_bg: this server does not remove backgrounds yet"
        raise InvalidRequest(message, field="transparent_bg", value=True, limit="false")
    _within("safety_tolerance", body.safety_tolerance or 0, 0, TOLERATED_SAFETY_TOLERANCE)


def _sent(body: Inputs) -> Iterator[tuple[str, object]]:
    """Every field of the body, those that the route does not know included."""
    yield from body
