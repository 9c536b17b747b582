"""Ended tasks in OpenAI's words."""

import asyncio
import base64
from dataclasses import dataclass

from app.api.moderated import MODERATED, moderated_text
from app.api.openai.schemas import Image, ImagesBody, ImagesResponse, Usage
from app.core.spec import GenerationSpec
from app.core.states import GenerationState
from app.dependencies import Gateway
from app.generations.delivery import result_path
from app.generations.repository import GenerationRow, TaskRead
from app.metering.pricing import credits_number


@dataclass(frozen=True)
class Failure:
    """Why a task has no picture: a code of docs/errors.md and a sentence."""

    code: str
    text: str


def failure_of(found: TaskRead) -> Failure | None:
    """None when there is a picture: then the others cost nothing, and are left out."""
    states = {GenerationState(one.state) for one in found.generations}
    if GenerationState.READY in states:
        return None
    if states & set(MODERATED):
        return Failure("moderated", moderated_text(found.generations))
    first = found.generations[0]
    if first.state == GenerationState.CANCELLED:
        return Failure("cancelled", "the generation was cancelled; nothing was charged")
    return Failure(first.error_code or "internal_error", first.error_message or "the generation failed")


async def images_response(parts: Gateway, found: TaskRead, body: ImagesBody, public_url: str) -> ImagesResponse:
    """A task with at least one picture."""
    ready = [one for one in found.generations if one.state == GenerationState.READY]
    spec = GenerationSpec.from_json(ready[0].spec)
    return ImagesResponse(
        created=int(found.task.created_at.timestamp()),
        data=[await _image(parts, one, body, public_url) for one in ready],
        output_format=spec.output_format,
        quality=body.quality or "auto",
        size=f"{spec.width}x{spec.height}",
        usage=Usage(cost=credits_number(sum(one.price_micro for one in ready))),
    )


async def _image(parts: Gateway, generation: GenerationRow, body: ImagesBody, public_url: str) -> Image:
    if body.response_format == "url":
        spec = GenerationSpec.from_json(generation.spec)
        ttl_s, now = parts.settings.results.url_ttl_s, parts.clock.utc_now()
        path = result_path(parts.secrets, generation.id, generation.attempt, spec.output_format, now, ttl_s)
        return Image(url=public_url + path)
    data = await parts.store.get(generation.object_key or "")
    return Image(b64_json=(await asyncio.to_thread(base64.b64encode, data)).decode())
