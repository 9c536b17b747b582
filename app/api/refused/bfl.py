"""Black Forest Labs' shape: its official client reads only `message`, others only `detail`."""

from typing import Any

from fastapi.responses import JSONResponse

from app.api.refused.refusal import Refusal


def render(refusal: Refusal) -> JSONResponse:
    """`{"detail": text or [{loc, msg, type}], "message": text}`."""
    detail: str | list[dict[str, Any]] = refusal.text
    if refusal.faults:
        detail = [{"loc": list(one.loc), "msg": one.text, "type": one.code} for one in refusal.faults]
    return JSONResponse({"detail": detail, "message": refusal.text}, int(refusal.status), dict(refusal.headers))
