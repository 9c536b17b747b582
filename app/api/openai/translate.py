"""A body of OpenAI's into the body of a model's own route: whatever that route checks, refuses and prices holds here too."""

import base64
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.api.bfl.request_body import located
from app.api.bfl.schemas.bodies import body_of
from app.api.bfl.schemas.fields import Inputs
from app.api.bfl.translate.pictures import pictures_for
from app.api.openai.schemas import ImagesBody
from app.core.catalog import Catalog, Resolved
from app.core.config import OpenAISettings
from app.core.errors import InvalidRequest
from app.core.inputs.kept import Sent
from app.core.spec import OUTPUT_FORMATS, Role

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_PICTURES_TO_READ: tuple[Role, ...] = ("reference", "image", "control_source", "control", "image_prompt")
"""What the pictures of an edit are to a model: the first of these that it takes."""
NOT_FOR_MODELS = frozenset(ImagesBody.model_fields) - {"prompt"}


def model_of(body: ImagesBody, catalog: Catalog, settings: OpenAISettings) -> Resolved:
    """The model that the body names. Raises NotFound."""
    name = body.model or settings.default_model
    return catalog.resolve(settings.models.get(name, name))


def to_inputs(
    body: ImagesBody, model: Resolved, images: Sequence[bytes | str] = (), mask: bytes | str | None = None
) -> Inputs:
    """The body of the model's own route, with these pictures, or what names them.

    Raises:
        InvalidRequest: the model cannot do it, named by OpenAI's field where there is one.
        RequestValidationError: a field has the wrong type.
    """
    _refuse_transparency(body)
    schema = body_of(model.row)
    own = {name: value for name, value in body if name not in NOT_FOR_MODELS and value is not None}
    said = {
        **own,
        **_size(body, schema),
        "output_format": _output_format(body),
        **_pictures(schema, model, images, mask),
    }
    try:
        return schema.model_validate(said)
    except ValidationError as error:
        raise RequestValidationError(located(error)) from None


@contextmanager
def errors_of(body: ImagesBody) -> Generator[None]:
    """Faults of width and height are named as the caller wrote them."""
    try:
        yield
    except InvalidRequest as error:
        if error.field not in ("width", "height") or body.size in (None, "", "auto"):
            raise
        raise InvalidRequest(error.message, field="size", value=body.size, limit=error.limit) from None


def _refuse_transparency(body: ImagesBody) -> None:
    if body.background == "transparent":
        message = "background: this server does not remove backgrounds yet"
        raise InvalidRequest(message, field="background", value="transparent", limit="opaque or auto")


def _output_format(body: ImagesBody) -> str:
    form = body.output_format or "png"
    if form not in OUTPUT_FORMATS:
        limit = ", ".join(OUTPUT_FORMATS)
        raise InvalidRequest(f"output_format must be one of {limit}", field="output_format", value=form, limit=limit)
    if body.output_compression not in (None, 100) and form == "png":
        message = "output_compression is for jpeg and webp; png loses nothing"
        raise InvalidRequest(message, field="output_compression", value=body.output_compression, limit="100 for png")
    return form


def _size(body: ImagesBody, schema: type[Inputs]) -> Mapping[str, Any]:
    """Sides, or the nearest that the model's route has."""
    if body.size in (None, "", "auto"):
        return {}
    found = _SIZE.fullmatch(body.size)
    if found is None:
        message = 'size must be "auto" or "WIDTHxHEIGHT"'
        raise InvalidRequest(message, field="size", value=body.size, limit='"auto" or "1024x1024", say')
    width, height = int(found[1]), int(found[2])
    if {"width", "height"} <= schema.model_fields.keys():
        return {"width": width, "height": height}
    if "aspect_ratio" in schema.model_fields:
        return {"aspect_ratio": f"{width}:{height}"}
    message = "size: this model's pictures are as large as the picture that was sent"
    raise InvalidRequest(message, field="size", value=body.size, limit='"auto"')


def check_transparent(pictures: Sequence[Sent]) -> None:
    """Raise InvalidRequest for a mask that is opaque everywhere: it changes nothing."""
    for mask in pictures_for(pictures, "mask"):
        if not mask.picture.header.has_alpha:
            message = "mask: it has no transparency, which is what says where to draw"
            limit = "a picture with an alpha channel"
            raise InvalidRequest(message, field="mask", value="an opaque picture", limit=limit)


def _pictures(
    schema: type[Inputs], model: Resolved, images: Sequence[bytes | str], mask: bytes | str | None
) -> Mapping[str, str]:
    """The pictures under the names of the model's own route."""
    fields = _fields_for_images(schema)
    if len(images) > len(fields):
        message = f"image: {model.row.name} takes at most {len(fields)} pictures"
        raise InvalidRequest(message, field="image", value=f"{len(images)} pictures", limit=len(fields))
    said = {name: _text(image) for name, image in zip(fields, images, strict=False)}
    if mask is None:
        return said
    masks = [name for name, role in schema.pictures().items() if role == "mask"]
    if not masks:
        message = f"mask: {model.row.name} takes none"
        raise InvalidRequest(message, field="mask", value="a mask", limit="absent")
    return {**said, masks[0]: _text(mask)}


def _text(picture: bytes | str) -> str:
    return picture if isinstance(picture, str) else base64.b64encode(picture).decode()


def _fields_for_images(schema: type[Inputs]) -> list[str]:
    fields = schema.pictures()
    for wanted in _PICTURES_TO_READ:
        if names := [name for name, role in fields.items() if role == wanted]:
            return names
    return []
