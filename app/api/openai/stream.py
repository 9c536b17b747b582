"""Server-sent events of an images request: one for each finished picture, or one that says why there is none."""

import json
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Literal

from app.api.openai.answers import failure_of, images_response
from app.api.openai.schemas import ImagesBody
from app.api.refused.openai import error_object
from app.dependencies import Gateway
from app.generations.repository import TaskRead

Kind = Literal["image_generation", "image_edit"]


async def events(
    parts: Gateway, ended: Awaitable[TaskRead | None], body: ImagesBody, public_url: str, kind: Kind
) -> AsyncGenerator[bytes]:
    """The stream's bytes, until the task has ended."""
    found = await ended
    if found is None:
        return
    failure = failure_of(found)
    if failure is not None:
        yield _event("error", {"error": error_object(failure.code, failure.text)})
        return
    answer = (await images_response(parts, found, body, public_url)).model_dump(exclude_none=True)
    pictures = answer.pop("data")
    created = answer.pop("created")
    for picture in pictures:
        yield _event(f"{kind}.completed", {**picture, "created_at": created, **answer})


def _event(name: str, data: dict[str, Any]) -> bytes:
    text = json.dumps({"type": name, **data}, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode()
