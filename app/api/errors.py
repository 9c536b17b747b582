"""Exception handlers: an error becomes a refusal, which is put into the words of the dialect that was called."""

import math
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from app.api.refused import bfl, openai, problem, replicate
from app.api.refused.refusal import Fault, Refusal
from app.core.errors import InvalidRequest, ServiceError, Unavailable
from app.core.metrics import REFUSED
from app.core.storage.base import StoreDown
from app.middleware import REQUEST_ID_HEADER, SYSTEM_PATHS

MAX_SHOWN_CHARS = 60
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
STORE_RETRY_S = 2.0

Render = Callable[[Refusal], JSONResponse]

_RENDERERS: tuple[tuple[tuple[str, ...], Render], ...] = (
    (("/v1/account", "/v1/admin", "/v1/usage", "/v1/pricing", "/v1/tasks", "/v1/files", *SYSTEM_PATHS), problem.render),
    (("/v1/predictions", "/v1/models/darkroom/"), replicate.render),
    (("/v1/images/", "/v1/models"), openai.render),
    (("",), bfl.render),
)
"""By how the path begins; the first that fits."""

log = structlog.stdlib.get_logger(__name__)


def install(app: FastAPI) -> None:
    """Give the application all handlers."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(StoreDown, _store_down)
    app.add_exception_handler(Exception, _unexpected_error)


def explained(error: ServiceError) -> str:
    """The message with the value that was sent and the limit that it broke."""
    parts = [f"got {shortened(error.value)}"] if error.value is not None else []
    parts += [f"limit: {error.limit}"] if error.limit is not None else []
    return f"{error.message} ({', '.join(parts)})" if parts else error.message


def shortened(value: object) -> str:
    """A value as it may stand in a message: never a whole prompt or picture."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}... ({len(text)} characters)"
    return repr(text) if isinstance(value, str) else text


def renderer_of(path: str) -> Render:
    """How refusals look on this path."""
    return next(render for prefixes, render in _RENDERERS if path.startswith(prefixes))


def refusal_of(request: Request, failure: ServiceError) -> Refusal:
    """A service's error before any dialect has put it into words."""
    text = explained(failure)
    headers = {"Retry-After": str(math.ceil(failure.retry_after_s))} if failure.retry_after_s is not None else {}
    faults: tuple[Fault, ...] = ()
    if failure.field is not None:
        loc = ("body",) if failure.field == "body" else ("body", failure.field)
        faults = (Fault(loc, text, failure.code),)
    return Refusal(failure.status, failure.code, text, _id(request), faults, headers, failure.retryable)


def _service_error(request: Request, error: Exception) -> JSONResponse:
    failure = cast("ServiceError", error)
    REFUSED.labels(failure.code).inc()
    return _rendered(request, refusal_of(request, failure))


def _store_down(request: Request, error: Exception) -> JSONResponse:
    log.warning("the object store fails", error=str(error))
    return _service_error(request, Unavailable("the object store does not answer", retry_after_s=STORE_RETRY_S))


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    found = cast("Sequence[Mapping[str, Any]]", cast("RequestValidationError", error).errors())
    faults = tuple(Fault(tuple(one["loc"]), _validation_message(one), one["type"]) for one in found)
    text = "; ".join(one.text for one in faults)
    refusal = Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, InvalidRequest.code, text, _id(request), faults)
    return _rendered(request, refusal)


def _validation_message(found: Mapping[str, Any]) -> str:
    """Field, what is wrong with it (pydantic's own words, limits included) and the value."""
    field = ".".join(str(part) for part in found["loc"][1:]) or "body"
    if found["type"] == "missing":
        return f"{field}: {found['msg']}"
    return f"{field}: {found['msg']} (got {shortened(found.get('input'))})"


def _http_error(request: Request, error: Exception) -> JSONResponse:
    failure = cast("HTTPException", error)
    status, headers = HTTPStatus(failure.status_code), dict(failure.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
    return _rendered(request, Refusal(status, "http_error", failure.detail, _id(request), headers=headers))


def _allowed(request: Request) -> list[str]:
    """Methods that some route has on this path: the router names those of the first route alone."""
    return [method for method in METHODS if _is_served({**request.scope, "method": method}, request.app)]


def _is_served(scope: Scope, app: FastAPI) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in app.routes)


def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    """Ours to mend: the caller gets the request id to quote, the log gets the traceback."""
    request_id = _id(request)
    log.error("unexpected error", request_id=request_id, exc_info=error)
    text = f"Internal Server Error; quote request {request_id}"
    headers = {REQUEST_ID_HEADER: request_id}
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _rendered(request, Refusal(status, "internal_error", text, request_id, headers=headers))


def _rendered(request: Request, refusal: Refusal) -> JSONResponse:
    return renderer_of(request.url.path)(refusal)


def _id(request: Request) -> str:
    return str(request.state.request_id)
