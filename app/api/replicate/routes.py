"""Replicate's predictions: create (both ways), look, list, cancel. Each is a task like any other."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from app.api.bfl.request_body import body_as
from app.api.bfl.request_kept import kept_request
from app.api.bfl.translate.pictures import read_pictures
from app.api.bfl.translate.spec import to_spec
from app.api.idempotency import REPLAYED, SentKey, retryable
from app.api.prefer import WaitSeconds, applied, wait_for_end
from app.api.public_url import public_url
from app.api.replicate.answers import PATH, prediction
from app.api.replicate.schemas import OWNER, ModelPredictionBody, Prediction, PredictionBody, PredictionPage
from app.api.replicate.translate import model_of, receiver_of, to_inputs
from app.api.viewpoint import viewpoint_of
from app.auth.dependencies import CanGenerate, CanReadJobs, CanWriteJobs
from app.auth.service import Caller
from app.core.catalog import Resolved
from app.core.events.progress_board import ProgressBoard
from app.core.inputs.kept import kept, remove
from app.dependencies import Gateway, Parts
from app.files.naming import OwnFiles
from app.generations.cancelling import cancel
from app.generations.idempotency import Answer
from app.generations.repository import TaskRead
from app.generations.service import Order, submit
from app.generations.tasks import TaskCursor, list_tasks, look_up_own
from app.moderation.verdict import clamped

DIALECT = "replicate"
MODEL_PATH = f"/v1/models/{OWNER}/{{name}}/predictions"
PAGE = 100


def router() -> APIRouter:
    """All routes of the dialect."""
    routes = APIRouter(tags=["Replicate"])
    routes.add_api_route(PATH, create, methods=["POST"], status_code=201, response_model=Prediction)
    routes.add_api_route(MODEL_PATH, create_of_model, methods=["POST"], status_code=201, response_model=Prediction)
    routes.add_api_route(PATH, list_predictions, methods=["GET"], response_model=PredictionPage)
    routes.add_api_route(f"{PATH}/{{task_id}}", get_prediction, methods=["GET"], response_model=Prediction)
    routes.add_api_route(f"{PATH}/{{task_id}}/cancel", cancel_prediction, methods=["POST"], response_model=Prediction)
    return routes


async def create(
    request: Request,
    parts: Parts,
    caller: CanGenerate,
    key: SentKey,
    body: Annotated[PredictionBody, Depends(body_as(PredictionBody))],
    seconds: WaitSeconds,
) -> JSONResponse:
    """Pictures of the model that the body names."""
    return await _create(request, parts, caller, key, body, model_of(body.version, parts.catalog), seconds)


async def create_of_model(
    request: Request,
    parts: Parts,
    caller: CanGenerate,
    key: SentKey,
    name: str,
    body: Annotated[ModelPredictionBody, Depends(body_as(ModelPredictionBody))],
    seconds: WaitSeconds,
) -> JSONResponse:
    """Pictures of the model that the path names."""
    return await _create(request, parts, caller, key, body, parts.catalog.resolve(name), seconds)


async def _create(
    request: Request,
    parts: Gateway,
    caller: Caller,
    key: str | None,
    body: ModelPredictionBody,
    model: Resolved,
    seconds: int,
) -> JSONResponse:
    answer = await _submit(request, parts, caller, key, body, model)
    task_id = str(answer.body["id"])
    ended = await wait_for_end(request, parts, task_id, seconds)
    found = ended or await look_up_own(parts, caller.account_id, task_id)
    progress = cast("ProgressBoard", request.app.state.progress)
    told = prediction(found, progress, viewpoint_of(request, parts), waited=seconds > 0)
    headers = {**(REPLAYED if answer.is_replay else {}), **applied(seconds)}
    return JSONResponse(told.model_dump(mode="json"), 201, headers)


async def _submit(
    request: Request, parts: Gateway, caller: Caller, key: str | None, body: ModelPredictionBody, model: Resolved
) -> Answer:
    inputs, outputs = to_inputs(body, model)
    host = public_url(request, parts.settings)
    told = receiver_of(body, parts.settings.egress, host)
    pictures = await read_pictures(inputs, model, parts.fetch_picture, OwnFiles(parts, caller.account_id, host))
    num_images, quality = outputs.num_outputs or 1, outputs.output_quality
    spec = to_spec(inputs, model, pictures).model_copy(update={"output_quality": quality})
    order = Order(
        account_id=caller.account_id,
        dialect=DIALECT,
        spec=spec,
        request={**kept_request(inputs, pictures), **outputs.model_dump(exclude_unset=True)},
        key_id=caller.key_id,
        retryable=retryable(key, request, inputs, spec.model, num_images, quality),
        safety_tolerance=clamped(inputs.safety_tolerance),
        num_images=num_images,
        receiver=told,
    )
    async with kept(parts.store, pictures):
        answer = await submit(parts, order, lambda task: Answer(201, {"id": task.task_id}))
    if answer.is_replay:
        await remove(parts.store, [one.image.key for one in pictures])
    return answer


async def get_prediction(
    request: Request, parts: Parts, caller: CanReadJobs, task_id: str, seconds: WaitSeconds
) -> Prediction:
    """One of the caller's tasks, whichever API it came in by."""
    ended = None
    if seconds:
        await look_up_own(parts, caller.account_id, task_id)  # nothing of it is kept while thousands wait
        ended = await wait_for_end(request, parts, task_id, seconds)
    return _answer(request, parts, ended or await look_up_own(parts, caller.account_id, task_id))


async def cancel_prediction(request: Request, parts: Parts, caller: CanWriteJobs, task_id: str) -> Prediction:
    """What waits ends at once, what is drawn at its next step; neither costs anything."""
    await look_up_own(parts, caller.account_id, task_id)
    await cancel(parts, task_id)
    return _answer(request, parts, await look_up_own(parts, caller.account_id, task_id))


async def list_predictions(
    request: Request, parts: Parts, caller: CanReadJobs, cursor: Annotated[str | None, Query()] = None
) -> PredictionPage:
    """The caller's tasks, newest first."""
    after = TaskCursor.parse(cursor) if cursor else None
    async with parts.database.read() as session:
        found = await list_tasks(session, caller.account_id, parts.clock.utc_now(), limit=PAGE + 1, after=after)
    shown = found[:PAGE]
    following = None
    if len(found) > PAGE:
        last = shown[-1].task
        following = f"{viewpoint_of(request, parts).public_url}{PATH}?cursor={TaskCursor(last.created_at, last.id)}"
    return PredictionPage(previous=None, next=following, results=[_answer(request, parts, one) for one in shown])


def _answer(request: Request, parts: Gateway, found: TaskRead) -> Prediction:
    return prediction(found, cast("ProgressBoard", request.app.state.progress), viewpoint_of(request, parts))
