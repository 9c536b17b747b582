"""The bytes of results, behind addresses that are signed for one attempt of one generation and expire. Keys play no part."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.api.ranges import has_it
from app.api.serving import Served, serve
from app.core.errors import NotFound
from app.core.ids import result_key
from app.core.storage.base import CONTENT_TYPES, InvalidKey, ObjectMissing, ObjectStore
from app.core.storage.presigned import Presigner
from app.dependencies import Parts
from app.generations.delivery import RESULT_PATH, may_fetch


def router() -> APIRouter:
    """The one address, with and without its bytes."""
    routes = APIRouter(tags=["Results"])
    routes.add_api_route(RESULT_PATH, get_sample, methods=["GET"], response_class=Response)
    routes.add_api_route(RESULT_PATH, get_sample, methods=["HEAD"], response_class=Response, include_in_schema=False)
    return routes


async def get_sample(
    request: Request,
    parts: Parts,
    generation_id: str,
    attempt: int,
    extension: str,
    expires: str = "",
    signature: str = "",
) -> Response:
    """The picture itself, or where the bucket has it. A forged or expired address is as unknown as one that never was."""
    if not may_fetch(parts.secrets, request.url.path, expires, signature, parts.clock.utc_now()):
        raise NotFound("no such result: the address is forged, or it has expired; poll again for a fresh one")
    what = Served(
        key=result_key(generation_id, attempt, extension),
        content_type=CONTENT_TYPES[extension],
        etag=f'"{generation_id}-{attempt}"',
        filename=f"sample.{extension}",
    )
    seconds = int(expires) - parts.clock.utc_now().timestamp()
    try:
        if parts.presigner is not None and request.method == "GET" and not has_it(request.headers, what.etag):
            return await _elsewhere(parts.store, parts.presigner, what, seconds)
        return await serve(request, parts.store, what)
    except (ObjectMissing, InvalidKey):
        raise NotFound("no such result: it has been deleted") from None


async def _elsewhere(store: ObjectStore, presigner: Presigner, what: Served, seconds: float) -> Response:
    """Where the bucket itself has the picture, for no longer than the address that was asked for. Raises ObjectMissing."""
    await store.open(what.key)
    url = await presigner.download(what.key, what.content_type, what.filename, seconds)
    return RedirectResponse(url, 302, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
