"""OpenAI's routes: each submits a task as the model's own route does, waits for its end, and answers with the pictures."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from app.api.bfl.request_body import parse
from app.api.bfl.request_kept import kept_request
from app.api.bfl.schemas.fields import Inputs
from app.api.bfl.translate.pictures import read_pictures
from app.api.bfl.translate.spec import to_spec
from app.api.idempotency import REPLAYED, SentKey, retryable
from app.api.leaving import EventStream, until_ended_or_left
from app.api.openai.answers import failure_of, images_response
from app.api.openai.form import Edit, read_edit
from app.api.openai.schemas import ImagesBody, ImagesResponse, Model, ModelList
from app.api.openai.stream import Kind, events
from app.api.openai.translate import check_transparent, errors_of, model_of, to_inputs
from app.api.public_url import public_url
from app.api.refused.openai import RETRY_HEADER, error_object
from app.auth.dependencies import AnyCaller, CanGenerate
from app.auth.service import Caller
from app.core.catalog import Resolved
from app.core.errors import NotFound
from app.core.inputs.kept import kept, remove
from app.dependencies import Gateway, Parts
from app.files.naming import OwnFiles
from app.generations import repository
from app.generations.idempotency import Answer
from app.generations.service import Order, submit
from app.generations.waiting import Waiters
from app.generations.watching import Watchers
from app.limits.retried import HEADER
from app.moderation.verdict import DEFAULT_TOLERANCE

DIALECT = "openai"
FAILED = {RETRY_HEADER: "false"}
"""The service has tried again already."""
_TOLERANCE = {"low": 4, "auto": DEFAULT_TOLERANCE}
"""OpenAI's two words on Black Forest Labs' scale."""
LEFT = 499
"""For the log: the client has hung up."""


def router() -> APIRouter:
    """All routes of the dialect."""
    routes = APIRouter(prefix="/v1", tags=["OpenAI Images"])
    for path, endpoint in (("/images/generations", generate), ("/images/edits", edit)):
        routes.add_api_route(path, endpoint, methods=["POST"], response_model=ImagesResponse)
    routes.add_api_route("/models", list_models, methods=["GET"], response_model=ModelList)
    routes.add_api_route("/models/{name}", get_model, methods=["GET"], response_model=Model)
    return routes


async def _generation(request: Request, _caller: CanGenerate) -> ImagesBody:
    return await parse(ImagesBody, request)


async def _edit(request: Request, _caller: CanGenerate) -> Edit:
    return await read_edit(request)


async def generate(
    request: Request, parts: Parts, caller: CanGenerate, key: SentKey, body: Annotated[ImagesBody, Depends(_generation)]
) -> Response:
    """Pictures from a prompt."""
    model = model_of(body, parts.catalog, parts.settings.openai)
    task_id, is_replay = await _submit(request, parts, caller, key, body, model, to_inputs(body, model))
    return await _answer(request, parts, body, task_id, is_replay, "image_generation")


async def edit(
    request: Request, parts: Parts, caller: CanGenerate, key: SentKey, form: Annotated[Edit, Depends(_edit)]
) -> Response:
    """Pictures from pictures; a mask is transparent where they are to be changed."""
    body = form.body
    model = model_of(body, parts.catalog, parts.settings.openai)
    inputs = to_inputs(body, model, form.images, form.mask)
    task_id, is_replay = await _submit(request, parts, caller, key, body, model, inputs)
    return await _answer(request, parts, body, task_id, is_replay, "image_edit")


async def _submit(
    request: Request,
    parts: Gateway,
    caller: Caller,
    key: str | None,
    body: ImagesBody,
    model: Resolved,
    inputs: Inputs,
) -> tuple[str, bool]:
    """The task's id, and whether it was there before."""
    files = OwnFiles(parts, caller.account_id, public_url(request, parts.settings))
    pictures = await read_pictures(inputs, model, parts.fetch_picture, files)
    check_transparent(pictures)
    with errors_of(body):
        spec = to_spec(inputs, model, pictures)
    is_watched = spec.previews or bool(body.stream and body.partial_images)
    ours = {"mask_is_transparent": True, "output_quality": body.output_compression, "previews": is_watched}
    spec = spec.model_copy(update=ours)
    num_images = body.n or 1
    order = Order(
        account_id=caller.account_id,
        dialect=DIALECT,
        spec=spec,
        request={**kept_request(inputs, pictures), "model": model.row.name, "n": num_images},
        key_id=caller.key_id,
        # by what it asks for, not by how it wants to be told
        retryable=retryable(key, request, inputs, spec.model, num_images, spec.output_quality),
        safety_tolerance=_TOLERANCE[body.moderation or "auto"],
        num_images=num_images,
    )
    async with kept(parts.store, pictures):
        answer = await submit(parts, order, lambda task: Answer(200, {"id": task.task_id}))
    if answer.is_replay:
        await remove(parts.store, [one.image.key for one in pictures])
    return str(answer.body["id"]), answer.is_replay


async def _answer(
    request: Request, parts: Gateway, body: ImagesBody, task_id: str, is_replay: bool, kind: Kind
) -> Response:
    waiters, host = cast("Waiters", request.app.state.waiters), public_url(request, parts.settings)
    headers = REPLAYED if is_replay else {}
    has_key = HEADER in request.headers
    ended = until_ended_or_left(request, parts, waiters, task_id, may_come_back=has_key)
    if body.stream:
        watchers = cast("Watchers", request.app.state.watchers)
        return EventStream(events(parts, watchers, task_id, ended, body, host, kind), headers)
    found = await ended
    if found is None:
        return Response(status_code=LEFT)
    failure = failure_of(found)
    if failure is not None:
        error = error_object(failure.code, failure.text)
        return JSONResponse({"error": error}, 400 if failure.code == "moderated" else 500, {**FAILED, **headers})
    answer = await images_response(parts, found, body, host)
    return JSONResponse(answer.model_dump(exclude_none=True), headers=dict(headers))


async def list_models(parts: Parts, _caller: AnyCaller) -> ModelList:
    """What has weights here."""
    return ModelList(data=await _models(parts))


async def get_model(parts: Parts, _caller: AnyCaller, name: str) -> Model:
    """One of them."""
    for model in await _models(parts):
        if model.id == name:
            return model
    raise NotFound(f"there is no model {name!r} here", field="model", value=name)


async def _models(parts: Gateway) -> list[Model]:
    async with parts.database.read() as session:
        networks = await repository.networks(session)
    rows = (row for row in parts.catalog.rows if parts.catalog.resolve(row.name).network in networks)
    names = [row.name for row in rows]
    names += [name for name, target in parts.settings.openai.models.items() if target in names]
    created = int(parts.started_at.timestamp())
    return [Model(id=name, created=created) for name in names]
