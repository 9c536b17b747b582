"""The header Idempotency-Key: how it is written, and the digest of the body that it goes with."""

import hashlib
import json
import re
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from app.generations.idempotency import Retryable
from app.limits.headers import REPLAYED_HEADER

HEADER = "Idempotency-Key"
REPLAYED = {REPLAYED_HEADER: "true"}
MAX_CHARS = 255
LIMIT = f"1 to {MAX_CHARS} printable ASCII characters, bare or in double quotes"

_PRINTABLE = re.compile(rf"[\x20-\x7e]{{1,{MAX_CHARS}}}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\["\\])*"')
_ESCAPED = re.compile(r"\\(.)")


def _sent_key(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(alias=HEADER, description=f"A request sent again with it gets the same answer. {LIMIT}."),
    ] = None,
) -> str | None:
    """The key, out of its quotes. Raises RequestValidationError for one that cannot be kept."""
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    if len(values) > 1:
        raise _malformed("it was sent more than once", ", ".join(values))
    key = values[0].strip()
    if _QUOTED.fullmatch(key):
        key = _ESCAPED.sub(r"\1", key[1:-1])
    if not _PRINTABLE.fullmatch(key):
        raise _malformed(f"it has {LIMIT}; this has {len(key)} characters", values[0])
    return key


SentKey = Annotated[str | None, Depends(_sent_key)]


def retryable(key: str | None, request: Request, body: BaseModel) -> Retryable | None:
    """The request by its key and a digest of what its body says: fields that the route knows, defaults as if left out."""
    if key is None:
        return None
    said = body.model_dump(mode="json", include=set(type(body).model_fields), exclude_defaults=True)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Retryable(key, request.url.path, hashlib.sha256(text.encode()).hexdigest())


def _malformed(message: str, value: str) -> RequestValidationError:
    return RequestValidationError(
        [{"loc": ("header", HEADER), "msg": message, "type": "invalid_request", "input": value}]
    )
