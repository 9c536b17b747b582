"""Reads and checks a JSON body, after the caller is known: nobody's bytes are read before their key is good."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.auth.dependencies import CanGenerate
from app.core.errors import InvalidRequest

Body = TypeVar("Body", bound=BaseModel)


def body_as(schema: type[Body]) -> Callable[[Request, CanGenerate], Awaitable[Body]]:
    """A dependency that gives the request's body as `schema`."""

    async def parsed(request: Request, _caller: CanGenerate) -> Body:
        return await parse(schema, request)

    return parsed


async def parse(schema: type[Body], request: Request) -> Body:
    """The request's body as `schema`. Raises InvalidRequest or RequestValidationError."""
    _check_content_type(request.headers.get("content-type", ""))
    try:
        return schema.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(located(error)) from None


def located(error: ValidationError) -> list[dict[str, object]]:
    """What is wrong, each with its place in the body."""
    found = [dict(one) for one in error.errors(include_url=False, include_context=False)]
    return [{**one, "loc": ("body", *(loc if isinstance(loc := one["loc"], tuple) else ()))} for one in found]


def _check_content_type(content_type: str) -> None:
    """JSON under any of its names; a missing header is taken for JSON, as curl-less clients leave it out."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        message = "the body must be JSON with Content-Type: application/json"
        raise InvalidRequest(message, field="body", value=content_type, limit="application/json")
