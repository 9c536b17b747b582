"""An account's uploads: pictures that are sent once and named in requests by their ids."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.api.account import actor_of
from app.api.file_bodies import WillCome, describe_body, read_upload
from app.api.file_schemas import FilePage, FileRead, NewFileRead, Purpose
from app.api.public_url import public_url
from app.api.serving import Served, serve
from app.auth.dependencies import CanReadJobs, CanUpload, CanWriteJobs
from app.auth.service import Caller
from app.core.errors import Conflict, NotFound
from app.core.storage.base import CONTENT_TYPES, ObjectMissing
from app.dependencies import Parts
from app.files import repository, service
from app.files.names import object_key
from app.files.naming import PATH
from app.files.repository import READY
from app.files.service import Owner

_EXTENSIONS = {content_type: extension for extension, content_type in CONTENT_TYPES.items()}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in _EXTENSIONS}, "description": "The picture."},
    206: {"content": {kind: {} for kind in _EXTENSIONS}, "description": "The part that `Range` asked for."},
    304: {"description": "The caller has it."},
}


def router() -> APIRouter:
    """Every route shows its caller's own files; others' are not there."""
    routes = APIRouter(prefix=PATH, tags=["Files"])
    routes.add_api_route(
        "", upload, methods=["POST"], status_code=201, response_model=NewFileRead, openapi_extra=describe_body()
    )
    routes.add_api_route("", list_files, methods=["GET"], response_model=FilePage)
    routes.add_api_route("/{file_id}", get_file, methods=["GET"], response_model=FileRead)
    routes.add_api_route("/{file_id}", delete_file, methods=["DELETE"], status_code=204, response_class=Response)
    routes.add_api_route("/{file_id}/complete", complete, methods=["POST"], response_model=FileRead)
    content = "/{file_id}/content"
    routes.add_api_route(content, get_content, methods=["GET"], response_class=Response, responses=_PICTURE)
    routes.add_api_route(content, get_content, methods=["HEAD"], response_class=Response, include_in_schema=False)
    return routes


async def upload(
    request: Request,
    parts: Parts,
    caller: CanUpload,
    _filename: Annotated[
        str | None, Query(alias="filename", description="Of a body that is the picture itself.")
    ] = None,
    _purpose: Annotated[Purpose | None, Query(alias="purpose", description="The same.")] = None,
) -> NewFileRead:
    """A picture, as a form or as it is; or room for one that goes to the bucket directly, where that is allowed."""
    owner, host = _owner(request, caller), public_url(request, parts.settings)
    async with read_upload(request) as sent:
        if isinstance(sent, WillCome):
            file, form = await service.begin(parts, owner, sent.announced)
            return NewFileRead.with_form(file, host, form)
        file = await service.upload(parts, owner, sent.announced, sent.file)
    return NewFileRead.model_validate(FileRead.of(file, host).model_dump())


async def complete(request: Request, parts: Parts, caller: CanUpload, file_id: str) -> FileRead:
    """Look at what was sent to the bucket; from then on the file can be used."""
    file = await service.complete(parts, _owner(request, caller), file_id)
    return FileRead.of(file, public_url(request, parts.settings))


async def list_files(
    request: Request,
    parts: Parts,
    caller: CanReadJobs,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(description="The last id of the page before.")] = None,
) -> FilePage:
    """Files that have not expired, newest first."""
    async with parts.database.read() as session:
        found = await repository.newest(session, caller.account_id, parts.clock.utc_now(), limit + 1, after)
    host = public_url(request, parts.settings)
    shown = [FileRead.of(one, host) for one in found[:limit]]
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return FilePage(data=shown, has_more=len(found) > limit, first_id=first, last_id=last)


async def get_file(request: Request, parts: Parts, caller: CanReadJobs, file_id: str) -> FileRead:
    """One of them."""
    async with parts.database.read() as session:
        file = await repository.own(session, caller.account_id, file_id, parts.clock.utc_now())
    return FileRead.of(file, public_url(request, parts.settings))


async def get_content(request: Request, parts: Parts, caller: CanReadJobs, file_id: str) -> Response:
    """The picture, as it was sent."""
    async with parts.database.read() as session:
        file = await repository.own(session, caller.account_id, file_id, parts.clock.utc_now())
    if file.state != READY:
        raise Conflict("the file has not been completed", field="file_id", value=file_id)
    name = f"{file.id}.{_EXTENSIONS[file.content_type]}"
    try:
        return await serve(
            request, parts.store, Served(object_key(file.id), file.content_type, f'"{file.sha256}"', name)
        )
    except ObjectMissing:
        raise NotFound("the file has been deleted", field="file_id", value=file_id) from None


async def delete_file(request: Request, parts: Parts, caller: CanWriteJobs, file_id: str) -> Response:
    """Forget a file. Tasks that it was sent with keep their copies."""
    await service.delete(parts, _owner(request, caller), file_id)
    return Response(status_code=204)


def _owner(request: Request, caller: Caller) -> Owner:
    return Owner(caller.account_id, actor_of(request, caller))
