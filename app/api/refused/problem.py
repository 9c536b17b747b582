"""problem+json (RFC 9457), for Darkroom's own routes."""

from http import HTTPStatus

from fastapi.responses import JSONResponse

from app.api.refused.refusal import Refusal
from app.core.errors import NotAuthenticated


def render(refusal: Refusal) -> JSONResponse:
    """A missing or bad key is 401 here; BFL's clients expect 403 on their own routes."""
    status, headers = refusal.status, dict(refusal.headers)
    if refusal.code == NotAuthenticated.code:
        status, headers = HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer", **headers}
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": refusal.text,
        "code": refusal.code,
        "request_id": refusal.request_id,
    }
    return JSONResponse(body, int(status), headers, media_type="application/problem+json")
