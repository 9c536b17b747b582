"""OpenAI's error object. Its SDK tells classes by the status and retries by `x-should-retry`, which it believes."""

from dataclasses import dataclass

from fastapi.responses import JSONResponse

from app.api.refused.refusal import Refusal

RETRY_HEADER = "x-should-retry"
_UNSAID = 500


@dataclass(frozen=True)
class _Words:
    """A code of ours in OpenAI's words; `status` None: ours."""

    status: int | None
    type: str
    code: str | None


_INVALID = "invalid_request_error"
_WORDS = {
    "not_authenticated": _Words(401, _INVALID, "invalid_api_key"),
    "not_permitted": _Words(403, _INVALID, "insufficient_permissions"),
    "not_found": _Words(404, _INVALID, "not_found"),
    "invalid_request": _Words(400, _INVALID, "invalid_value"),
    "idempotency_mismatch": _Words(400, "idempotency_error", "idempotency_mismatch"),
    "insufficient_credits": _Words(429, "insufficient_quota", "insufficient_quota"),
    "spending_limit_reached": _Words(429, "insufficient_quota", "billing_hard_limit_reached"),
    "quota_used_up": _Words(429, "insufficient_quota", "insufficient_quota"),
    "too_many_active": _Words(429, "rate_limit_error", "too_many_active"),
    "rate_limited": _Words(429, "rate_limit_error", "rate_limit_exceeded"),
    "moderated": _Words(400, "image_generation_user_error", "moderation_blocked"),
}
_NOT_AGAIN = frozenset({"quota_used_up"})
"""What passes only with the day: nobody's SDK should wait for it."""


def error_object(code: str, text: str, param: str | None = None) -> dict[str, object]:
    """The object behind `error`."""
    words = _WORDS.get(code)
    kind, said = (words.type, words.code) if words else ("server_error", code)
    return {"message": text, "type": kind, "param": param, "code": said}


def render(refusal: Refusal) -> JSONResponse:
    """`{"error": {message, type, param, code}}`."""
    words = _WORDS.get(refusal.code)
    status = int(refusal.status) if words is None or words.status is None else words.status
    error = error_object(refusal.code, refusal.text, _param(refusal))
    if words is None and status < _UNSAID:
        error["type"] = _INVALID
    retry = str(refusal.may_pass and refusal.code not in _NOT_AGAIN).lower()
    return JSONResponse({"error": error}, status, {**refusal.headers, RETRY_HEADER: retry})


def _param(refusal: Refusal) -> str | None:
    """The field at fault, where it is one."""
    if not refusal.faults or len(refusal.faults[0].loc) < 2:  # ("body", field)
        return None
    return str(refusal.faults[0].loc[1])
