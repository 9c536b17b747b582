"""The header Idempotency-Key: how it is written, and the digest of the body that it goes with."""

import hashlib
import json
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from app.generations.idempotency import Retryable
from app.limits.headers import REPLAYED_HEADER
from app.limits.retried import HEADER, LIMIT, MalformedKey, sent_key

REPLAYED = {REPLAYED_HEADER: "true"}


async def _sent_key(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(alias=HEADER, description=f"A request sent again with it gets the same answer. {LIMIT}."),
    ] = None,
) -> str | None:
    """The key, out of its quotes. Raises RequestValidationError for one that cannot be kept."""
    try:
        return sent_key(request)
    except MalformedKey as error:
        raise RequestValidationError(
            [{"loc": ("header", HEADER), "msg": str(error), "type": "invalid_request", "input": error.value}]
        ) from error


SentKey = Annotated[str | None, Depends(_sent_key)]


def retryable(key: str | None, request: Request, body: BaseModel, *beside: str | float | None) -> Retryable | None:
    """The request by its key and a digest of what it asks for.

    Args:
        key: as sent; None: a request that is not to be found again.
        request: whose path it is.
        body: counts by the fields that its route knows, defaults as if left out.
        beside: what is asked for and does not stand in the body.
    """
    if key is None:
        return None
    said = body.model_dump(mode="json", include=set(type(body).model_fields), exclude_defaults=True)
    text = json.dumps([said, *beside] if beside else said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Retryable(key, request.url.path, hashlib.sha256(text.encode()).hexdigest())
