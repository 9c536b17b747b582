"""The multipart form of an edit: its texts as a body, its pictures as bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from app.api.bfl.request_body import located
from app.api.openai.schemas import ImagesBody
from app.core.errors import InvalidRequest
from app.core.inputs.encoded import MAX_BYTES, MAX_MEGABYTES
from app.core.inputs.header import BadPicture, read_header

MAX_IMAGES = 16
MAX_TEXTS = 64
IMAGE_NAMES = ("image", "image[]")
_MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class Edit:
    """What a form says: the mask is transparent where the picture is to be changed."""

    body: ImagesBody
    images: tuple[bytes, ...]
    mask: bytes | None


async def read_edit(request: Request) -> Edit:
    """The request's form. Raises InvalidRequest or RequestValidationError."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith(_MULTIPART):
        raise InvalidRequest(f"the body must be {_MULTIPART}", field="body", value=content_type, limit=_MULTIPART)
    async with request.form(max_files=MAX_IMAGES + 1, max_fields=MAX_TEXTS) as form:
        images = [await _bytes("image", one) for name in IMAGE_NAMES for one in form.getlist(name)]
        masks = [await _bytes("mask", one) for one in form.getlist("mask")]
        body = _body(form)
    _check_counts(images, masks)
    for mask in masks:
        _check_transparent(mask)
    return Edit(body, tuple(images), masks[0] if masks else None)


def _check_transparent(mask: bytes) -> None:
    """A mask that is opaque everywhere changes nothing; one that is no picture is told so with the other pictures."""
    try:
        header = read_header(mask)
    except BadPicture:
        return
    if not header.has_alpha:
        message = "mask: it has no transparency, which is what says where to draw"
        raise InvalidRequest(message, field="mask", value="an opaque picture", limit="a picture with an alpha channel")


def _check_counts(images: Sequence[bytes], masks: Sequence[bytes]) -> None:
    if not images:
        raise InvalidRequest("image: an edit needs a picture", field="image", limit=f"1 to {MAX_IMAGES} files")
    for name, found, most in (("image", images, MAX_IMAGES), ("mask", masks, 1)):
        if len(found) > most:
            raise InvalidRequest(f"{name}: too many files", field=name, value=f"{len(found)} files", limit=most)


async def _bytes(field: str, part: UploadFile | str) -> bytes:
    if isinstance(part, str):
        message = f"{field}: a file is wanted, with a filename, not a text"
        raise InvalidRequest(message, field=field, value=part, limit="a PNG, JPEG or WebP picture")
    data = await part.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        message = f"{field}: a picture may have {MAX_MEGABYTES}"
        raise InvalidRequest(message, field=field, value=f"{part.size} bytes", limit=f"{MAX_BYTES} bytes")
    return data


def _body(form: FormData) -> ImagesBody:
    """The texts; an empty one is as good as none."""
    texts = {name: value for name, value in form.items() if isinstance(value, str) and value}
    try:
        return ImagesBody.model_validate(texts)
    except ValidationError as error:
        raise RequestValidationError(located(error)) from None
