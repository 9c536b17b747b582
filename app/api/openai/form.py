"""An edit as a multipart form, its pictures as bytes or the ids of files, or as JSON that names them."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from app.api.bfl.request_body import located, parse
from app.api.openai.schemas import MAX_EDITED, EditBody, ImageRef, ImagesBody
from app.core.errors import InvalidRequest
from app.core.inputs.encoded import MAX_BYTES, MAX_MEGABYTES
from app.files.names import is_file_id

MAX_TEXTS = 64
IMAGE_NAMES = ("image", "image[]")
_MULTIPART = "multipart/form-data"
_JSON = "application/json"


@dataclass(frozen=True)
class Edit:
    """What is to be edited: the mask is transparent where the picture is to be changed. A text names a picture."""

    body: ImagesBody
    images: tuple[bytes | str, ...]
    mask: bytes | str | None


async def read_edit(request: Request) -> Edit:
    """The request's form, or its JSON. Raises InvalidRequest or RequestValidationError."""
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith(_JSON):
        return _of_json(await parse(EditBody, request))
    if not content_type.lower().startswith(_MULTIPART):
        message = f"the body must be {_MULTIPART}, or JSON that names the pictures"
        raise InvalidRequest(message, field="body", value=content_type, limit=f"{_MULTIPART} or {_JSON}")
    async with request.form(max_files=MAX_EDITED + 1, max_fields=MAX_TEXTS) as form:
        images = [await _bytes("image", one) for name in IMAGE_NAMES for one in form.getlist(name)]
        masks = [await _bytes("mask", one) for one in form.getlist("mask")]
        body = _body(form)
    _check_counts(images, masks)
    return Edit(body, tuple(images), masks[0] if masks else None)


def _of_json(body: EditBody) -> Edit:
    said = body.model_dump(exclude={"images", "mask"}, exclude_unset=True)
    images = tuple(_named(f"images.{index}", one) for index, one in enumerate(body.images))
    return Edit(ImagesBody.model_validate(said), images, None if body.mask is None else _named("mask", body.mask))


def _named(field: str, one: ImageRef) -> str:
    named = [text for text in (one.file_id, one.image_url) if text]
    if len(named) != 1:
        message = f"{field}: a picture is named by file_id or by image_url"
        raise InvalidRequest(message, field=field, value=f"{len(named)} of them", limit="one of the two")
    return named[0]


def _check_counts(images: Sequence[bytes | str], masks: Sequence[bytes | str]) -> None:
    if not images:
        raise InvalidRequest("image: an edit needs a picture", field="image", limit=f"1 to {MAX_EDITED} files")
    for name, found, most in (("image", images, MAX_EDITED), ("mask", masks, 1)):
        if len(found) > most:
            raise InvalidRequest(f"{name}: too many files", field=name, value=f"{len(found)} files", limit=most)


async def _bytes(field: str, part: UploadFile | str) -> bytes | str:
    """What a part holds: a picture, or the id of a file that was uploaded before."""
    if isinstance(part, str):
        if is_file_id(part):
            return part
        message = f"{field}: a file is wanted, with a filename, or the id of one; not another text"
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
