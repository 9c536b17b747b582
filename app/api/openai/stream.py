"""Server-sent events of an images request: pictures on their way, one for each finished picture, or one that says why there is none."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from app.api.openai.answers import failure_of, images_response
from app.api.openai.schemas import ImagesBody
from app.api.refused.openai import error_object
from app.core.events.base import Preview
from app.dependencies import Gateway
from app.generations.repository import TaskRead
from app.generations.watching import Watch, Watchers

Kind = Literal["image_generation", "image_edit"]
Ended = Coroutine[Any, Any, TaskRead | None]


@dataclass
class Partials:
    """Which previews of one image become partial images: the first that comes, then one in each further part of the way."""

    most: int
    num_sent: int = 0
    last_step: int = 0

    def take(self, preview: Preview) -> bool:
        """Whether to send this one; it counts as sent then."""
        is_due = preview.step * (self.most + 1) >= preview.num_steps * self.num_sent
        if self.num_sent == self.most or preview.step <= self.last_step or not is_due:
            return False
        self.num_sent, self.last_step = self.num_sent + 1, preview.step
        return True


@dataclass
class _Told:
    """What a stream has told of the pictures on their way."""

    parts: Gateway
    body: ImagesBody
    kind: Kind
    partials: dict[str, Partials] = field(default_factory=dict[str, Partials])

    def partial_images(self, found: TaskRead, watch: Watch) -> Iterator[bytes]:
        """Events for what is due of what was heard."""
        for one in found.generations:
            sent = self.partials.setdefault(one.id, Partials(self.body.partial_images or 0))
            preview = watch.preview(one.id)
            if preview is None or not sent.take(preview):
                continue
            yield _event(
                f"{self.kind}.partial_image",
                {
                    "b64_json": b64encode(preview.jpeg).decode(),
                    "partial_image_index": sent.num_sent - 1,
                    "image_index": one.index,
                    "created_at": int(self.parts.clock.utc_now().timestamp()),
                    "background": "opaque",
                    "output_format": "jpeg",
                    "quality": self.body.quality or "auto",
                    "size": f"{one.width}x{one.height}",
                },
            )


async def events(
    parts: Gateway, watchers: Watchers, task_id: str, ended: Ended, body: ImagesBody, public_url: str, kind: Kind
) -> AsyncGenerator[bytes]:
    """The stream's bytes, until the task has ended or, as `ended` tells by None, nobody listens."""
    ending = asyncio.create_task(ended)
    try:
        if body.partial_images:
            async for partial in _on_the_way(watchers, task_id, ending, _Told(parts, body, kind)):
                yield partial
        found = await ending
    finally:
        ending.cancel()
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


async def _on_the_way(
    watchers: Watchers, task_id: str, ending: asyncio.Task[TaskRead | None], told: _Told
) -> AsyncGenerator[bytes]:
    """Partial images, until the task has ended."""
    with watchers.watch(task_id) as watch:
        ending.add_done_callback(lambda _: watch.wake())
        found = await watch.read(told.parts)
        while not ending.done():
            for partial in told.partial_images(found, watch):
                yield partial
            await watch.news()


def _event(name: str, data: dict[str, Any]) -> bytes:
    text = json.dumps({"type": name, **data}, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode()
