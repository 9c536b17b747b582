"""Exception handlers: one error, rendered in the dialect of the route that it happened on.

BFL's shape is `{"detail": text or [{loc, msg, type}], "message": text}`; its official client reads only `message`, others only
`detail`. Darkroom's own routes answer problem+json (RFC 9457).
"""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.core.errors import NotAuthenticated, ServiceError
from app.core.metrics import REFUSED
from app.middleware import REQUEST_ID_HEADER, SYSTEM_PATHS

MAX_SHOWN_CHARS = 60
NATIVE_PREFIXES = ("/v1/account", "/v1/admin", "/v1/usage", "/v1/pricing")
"""Routes that are Darkroom's own."""

log = structlog.stdlib.get_logger(__name__)


def install(app: FastAPI) -> None:
    """Give the application all handlers."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
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


def _service_error(request: Request, error: Exception) -> JSONResponse:
    failure = cast("ServiceError", error)
    REFUSED.labels(failure.code).inc()
    text = explained(failure)
    headers = {"Retry-After": str(math.ceil(failure.retry_after_s))} if failure.retry_after_s is not None else {}
    if _is_native(request):
        return _native_error(request, failure, text, headers)
    if failure.field is None:
        return _bfl(failure.status, text, text, headers)
    loc = ["body"] if failure.field == "body" else ["body", failure.field]
    return _bfl(failure.status, [{"loc": loc, "msg": text, "type": failure.code}], text, headers)


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    found = cast("Sequence[Mapping[str, Any]]", cast("RequestValidationError", error).errors())
    detail = [{"loc": list(one["loc"]), "msg": _validation_message(one), "type": one["type"]} for one in found]
    text = "; ".join(_validation_message(one) for one in found)
    if _is_native(request):
        return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", text, {})
    return _bfl(HTTPStatus.UNPROCESSABLE_ENTITY, detail, text, {})


def _validation_message(found: Mapping[str, Any]) -> str:
    """Field, what is wrong with it (pydantic's own words, limits included) and the value."""
    field = ".".join(str(part) for part in found["loc"][1:]) or "body"
    if found["type"] == "missing":
        return f"{field}: {found['msg']}"
    return f"{field}: {found['msg']} (got {shortened(found.get('input'))})"


def _http_error(request: Request, error: Exception) -> JSONResponse:
    failure = cast("HTTPException", error)
    if _is_native(request):
        return _problem(request, failure.status_code, "http_error", failure.detail, failure.headers or {})
    return _bfl(failure.status_code, failure.detail, failure.detail, failure.headers or {})


def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    """Ours to mend: the caller gets the request id to quote, the log gets the traceback."""
    request_id = str(request.state.request_id)
    log.error("unexpected error", request_id=request_id, exc_info=error)
    text = f"Internal Server Error; quote request {request_id}"
    headers = {REQUEST_ID_HEADER: request_id}
    if _is_native(request):
        return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", text, headers)
    return _bfl(HTTPStatus.INTERNAL_SERVER_ERROR, text, text, headers)


def _native_error(request: Request, failure: ServiceError, text: str, headers: Mapping[str, str]) -> JSONResponse:
    """A missing key is 401 here; BFL's clients expect 403 on their own routes."""
    if not isinstance(failure, NotAuthenticated):
        return _problem(request, failure.status, failure.code, text, headers)
    challenge = {"WWW-Authenticate": "Bearer", **headers}
    return _problem(request, HTTPStatus.UNAUTHORIZED, failure.code, text, challenge)


def _is_native(request: Request) -> bool:
    return request.url.path in SYSTEM_PATHS or request.url.path.startswith(NATIVE_PREFIXES)


def _bfl(status: int, detail: str | list[dict[str, Any]], message: str, headers: Mapping[str, str]) -> JSONResponse:
    return JSONResponse({"detail": detail, "message": message}, status, dict(headers))


def _problem(request: Request, status: int, code: str, text: str, headers: Mapping[str, str]) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": text,
        "code": code,
        "request_id": request.state.request_id,
    }
    return JSONResponse(body, status, dict(headers), media_type="application/problem+json")
