"""Replicate's shape: RFC 7807, of which its SDK reads title and detail; `status` tells its users what went wrong."""

from http import HTTPStatus

from fastapi.responses import JSONResponse

from app.api.refused.refusal import Refusal
from app.core.errors import NotAuthenticated


def render(refusal: Refusal) -> JSONResponse:
    """`{type, title, status, detail, instance}`, and our code beside them."""
    status = HTTPStatus.UNAUTHORIZED if refusal.code == NotAuthenticated.code else refusal.status
    body: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": refusal.text,
        "instance": f"urn:request:{refusal.request_id}",
        "code": refusal.code,
    }
    if refusal.faults:
        body["invalid_fields"] = [{"field": _field(one.loc), "description": one.text} for one in refusal.faults]
    return JSONResponse(body, int(status), dict(refusal.headers), media_type="application/problem+json")


def _field(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc[1:])
