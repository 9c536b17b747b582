"""What `POST /v1/files` reads: a form, the picture itself, or the wish to send it elsewhere. Pictures go to a file on disk."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from app.api.bfl.request_body import parse
from app.api.file_schemas import PresignedBody
from app.core.errors import InvalidRequest
from app.core.inputs.encoded import MAX_BYTES, too_large
from app.files.looking import FIELD
from app.files.names import shown_filename
from app.files.service import DEFAULT_PURPOSE, PURPOSES, Announced

FILE_NAMES = (FIELD, "content")
"""OpenAI's clients use the one, Replicate's the other."""
MAX_TEXTS = 16
_FORM = "multipart/form-data"
_PICTURES = ("image/", "application/octet-stream")
_LIMIT = f"{_FORM}, a picture's own type, or application/json for a presigned upload"


@dataclass(frozen=True)
class Came:
    """A picture that came with the request."""

    announced: Announced
    file: BinaryIO


@dataclass(frozen=True)
class WillCome:
    """A picture that is to be sent to the bucket."""

    announced: Announced


@asynccontextmanager
async def read_upload(request: Request) -> AsyncGenerator[Came | WillCome]:
    """The body. Its file is gone after the block.

    Raises:
        InvalidRequest: not one picture, too large, or under another type than these.
        RequestValidationError: a field of the JSON is wrong.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == _FORM:
        async with _form_of(request) as form:
            yield _of_form(form)
    elif media_type.startswith(_PICTURES):
        with tempfile.TemporaryFile() as file:
            await _receive(request, file)
            yield Came(_announced(request.query_params.get("filename", ""), request.query_params.get("purpose")), file)
    elif media_type == "application/json":
        body = await parse(PresignedBody, request)
        yield WillCome(Announced(shown_filename(body.filename), body.purpose, body.content_type, body.bytes))
    else:
        raise InvalidRequest("the body has another type", field="body", value=media_type, limit=_LIMIT)


@asynccontextmanager
async def _form_of(request: Request) -> AsyncGenerator[FormData]:
    """The form; a file in it of more than a megabyte lies on disk."""
    try:
        form = await request.form(max_files=1, max_fields=MAX_TEXTS)
    except HTTPException as error:
        raise InvalidRequest(f"body: not a form of one file ({error.detail})", field="body", limit=_FORM) from None
    try:
        yield form
    finally:
        await form.close()


def _of_form(form: FormData) -> Came:
    parts = [one for name in FILE_NAMES for one in form.getlist(name)]
    if len(parts) != 1 or not isinstance(parts[0], UploadFile):
        message = f"{FIELD}: one file is wanted, under this name, with a filename"
        raise InvalidRequest(message, field=FIELD, value=f"{len(parts)} parts", limit="1 file")
    purpose = form.get("purpose")
    announced = _announced(parts[0].filename or "", purpose if isinstance(purpose, str) else None)
    return Came(announced, parts[0].file)


def _announced(filename: str, purpose: str | None) -> Announced:
    purpose = purpose or DEFAULT_PURPOSE
    if purpose not in PURPOSES:
        limit = ", ".join(PURPOSES)
        raise InvalidRequest(f"purpose must be one of {limit}", field="purpose", value=purpose, limit=limit)
    return Announced(shown_filename(filename), purpose)


async def _receive(request: Request, file: BinaryIO) -> None:
    """The body onto the disk; one that is too long is refused as soon as it is announced or passed."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BYTES:
        raise too_large(FIELD, f"{declared} bytes")
    num_bytes = 0
    async for chunk in cast("AsyncIterator[bytes]", request.stream()):
        num_bytes += len(chunk)
        if num_bytes > MAX_BYTES:
            raise too_large(FIELD, f"more than {MAX_BYTES} bytes")
        await asyncio.to_thread(file.write, chunk)


def describe_body() -> dict[str, Any]:
    """For the API's description: the route reads its body itself, after the key."""
    picture = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "required": [FIELD],
        "properties": {
            FIELD: {**picture, "description": "PNG, JPEG or WebP; `content` is another name for it."},
            "purpose": {"type": "string", "enum": list(PURPOSES), "default": DEFAULT_PURPOSE},
        },
    }
    raw = ("image/png", "image/jpeg", "image/webp", "application/octet-stream")
    content = {
        _FORM: {"schema": form},
        "application/json": {"schema": PresignedBody.model_json_schema()},
        **{kind: {"schema": picture} for kind in raw},
    }
    return {"requestBody": {"required": True, "content": content}}
