"""An object as an answer: whole or in part, its head alone, or nothing to one who has it already."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException

from app.api.ranges import Unsatisfiable, has_it, wanted
from app.core.storage.base import ObjectStore

CACHED = "private, max-age=600, immutable"
"""By the caller's browser alone, and never asked for again: what lies under an address does not change."""


@dataclass(frozen=True)
class Served:
    """What is said of a picture. `etag` is a strong one, in its quotes."""

    key: str
    content_type: str
    etag: str
    filename: str

    @property
    def headers(self) -> Mapping[str, str]:
        return {
            "Accept-Ranges": "bytes",
            "Cache-Control": CACHED,
            "ETag": self.etag,
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": f'inline; filename="{self.filename}"',
        }


async def serve(request: Request, store: ObjectStore, what: Served) -> Response:
    """200, 206, 304, or 416 with the dialect's error.

    Raises:
        ObjectMissing, InvalidKey: there is no such object.
        StoreDown: the store does not answer.
        HTTPException: the range is behind the end.
    """
    headers = dict(what.headers)
    if has_it(request.headers, what.etag):
        return Response(status_code=304, headers=headers)
    found = await store.open(what.key)
    headers["Content-Length"] = str(found.num_bytes)
    if request.method == "HEAD":
        return Response(headers=headers, media_type=what.content_type)
    try:
        part = wanted(request.headers, what.etag, found.num_bytes)
    except Unsatisfiable:
        range_ = {"Content-Range": f"bytes */{found.num_bytes}"}
        raise HTTPException(416, f"range: the picture has {found.num_bytes} bytes", range_) from None
    if part is None:
        return StreamingResponse(found.chunks, headers=headers, media_type=what.content_type)
    headers["Content-Length"] = str(part.stop - part.start)
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{found.num_bytes}"
    return StreamingResponse(found.read(part.start, part.stop), 206, headers, what.content_type)
