"""BFL's routes: one POST for every row of the catalogue, the poll, and the balance."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from app.api.bfl.answers import not_found, result_response
from app.api.bfl.finetunes import add_finetunes
from app.api.bfl.licences import report_usage
from app.api.bfl.request_body import body_as
from app.api.bfl.request_kept import kept_request
from app.api.bfl.schemas.answers import AsyncResponse, CreditsResponse, ResultResponse
from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.schemas.fields import Inputs
from app.api.bfl.translate.pictures import read_pictures
from app.api.bfl.translate.spec import to_spec
from app.api.bfl.webhooks import receiver_of
from app.api.idempotency import REPLAYED, SentKey, retryable
from app.api.prefer import WaitSeconds, applied, wait_for_end
from app.api.public_url import public_url
from app.api.viewpoint import viewpoint_of
from app.auth.dependencies import CanGenerate, CanReadBilling, identify
from app.auth.scopes import Scope
from app.core.catalog import Catalog, CatalogRow
from app.core.events.progress_board import ProgressBoard
from app.core.inputs.kept import kept, remove
from app.dependencies import Gateway, Parts
from app.files.naming import OwnFiles
from app.generations import repository
from app.generations.delivery import may_poll, polling_path
from app.generations.idempotency import Answer
from app.generations.repository import TaskRead
from app.generations.service import Order, Submitted, submit
from app.metering.pricing import credits_number
from app.moderation.verdict import clamped

DIALECT = "bfl"
PREFIX = "/v1"
MODEL_HEADER = "x-darkroom-model"
POLL_AGAIN = {"Retry-After": "1"}


def router(catalog: Catalog) -> APIRouter:
    """All routes of the dialect."""
    routes = APIRouter(prefix=PREFIX, tags=["Black Forest Labs"])
    # First, as it is what clients ask most: a route costs a match of all before it.
    routes.add_api_route("/get_result", get_result, methods=["GET"], response_model=ResultResponse)
    for row in catalog.rows:
        _add_model(routes, row)
    routes.add_api_route("/credits", get_credits, methods=["GET"], response_model=CreditsResponse)
    routes.add_api_route("/licenses/models/{model_slug}/usage", report_usage, methods=["POST"])
    add_finetunes(routes)
    return routes


def _add_model(routes: APIRouter, row: CatalogRow) -> None:
    schema = body_of(row)
    routes.add_api_route(
        f"/{row.name}",
        _submit_to(row.name, schema),
        methods=["POST"],
        name=row.name,
        summary=f"Generate an image with {row.name}",
        response_model=AsyncResponse,
    )


def _submit_to(name: str, schema: type[Inputs]) -> Callable[..., Awaitable[JSONResponse]]:
    """The endpoint of one public name."""

    async def endpoint(
        request: Request,
        parts: Parts,
        caller: CanGenerate,
        key: SentKey,
        body: Annotated[Inputs, Depends(body_as(schema))],
        seconds: WaitSeconds,
    ) -> JSONResponse:
        model = parts.catalog.resolve(name)
        host = public_url(request, parts.settings)
        files = OwnFiles(parts, caller.account_id, host)
        pictures = await read_pictures(body, model, parts.fetch_picture, files)
        spec = to_spec(body, model, pictures)
        again = retryable(key, request, body)
        tolerance = clamped(body.safety_tolerance)
        told = receiver_of(body, parts.settings.egress, host)
        sent = kept_request(body, pictures)
        order = Order(caller.account_id, DIALECT, spec, sent, caller.key_id, again, tolerance, receiver=told)
        async with kept(parts.store, pictures):
            answer = await submit(parts, order, lambda task: _submitted(parts, host, order, task))
        if answer.is_replay:
            await remove(parts.store, [one.image.key for one in pictures])
        shown = {**answer.body, **(await _result(request, parts, str(answer.body["id"]), seconds))}
        headers = {**answer.headers, **(REPLAYED if answer.is_replay else {}), **applied(seconds)}
        return JSONResponse(shown, answer.status, headers)

    return endpoint


async def _result(request: Request, parts: Gateway, task_id: str, seconds: int) -> dict[str, Any]:
    """What a poll would say when the task has ended, or after so many seconds; nothing where nobody asked to wait."""
    if not seconds:
        return {}
    await wait_for_end(request, parts, task_id, seconds)
    found = await repository.look_up_task(parts.database, task_id, parts.clock.utc_now())
    if found is None:
        return {}
    progress = cast("ProgressBoard", request.app.state.progress)
    return result_response(found, progress, viewpoint_of(request, parts)).model_dump()


def _submitted(parts: Gateway, host: str, order: Order, task: Submitted) -> Answer:
    body = AsyncResponse(
        id=task.task_id,
        polling_url=host + polling_path(parts.secrets, task.task_id, task.expires_at),
        cost=credits_number(task.price.micro),
        input_mp=task.price.input_mp,
        output_mp=task.price.output_mp,
        status=None if order.receiver is None else "Pending",
        webhook_url=None if order.receiver is None else order.receiver.url,
    )
    return Answer(200, body.model_dump(exclude_none=True), {MODEL_HEADER: order.spec.network})


async def get_result(
    request: Request,
    parts: Parts,
    task_id: Annotated[str, Query(alias="id")],
    expires: str | None = None,
    signature: str | None = None,
) -> JSONResponse:
    """A task, shown to whoever holds its polling address or its owner's key; to anybody else there is none."""
    now = parts.clock.utc_now()
    found = await repository.look_up_task(parts.database, task_id, now)
    if expires is not None or signature is not None:
        may_see = may_poll(parts.secrets, task_id, expires or "", signature or "", now)
    else:
        may_see = found is not None and await _is_owner(request, parts, found)
    if found is None or not may_see:
        return JSONResponse(not_found(task_id), 404, POLL_AGAIN)
    progress = cast("ProgressBoard", request.app.state.progress)
    body: dict[str, Any] = result_response(found, progress, viewpoint_of(request, parts)).model_dump()
    return JSONResponse(body, headers={**POLL_AGAIN, MODEL_HEADER: found.task.network})


async def _is_owner(request: Request, parts: Gateway, found: TaskRead) -> bool:
    caller = await identify(request, parts)
    return caller is not None and caller.account_id == found.task.account_id and Scope.JOBS_READ in caller.scopes


async def get_credits(parts: Parts, caller: CanReadBilling) -> CreditsResponse:
    """What the caller may still spend."""
    async with parts.database.read() as session:
        available = await repository.available_micro(session, caller.account_id)
    return CreditsResponse(credits=credits_number(available))
