"""The pictures of a request: which are there, whether the network reads them, and what their headers say."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.api.bfl.schemas.fields import Inputs
from app.core.catalog import Resolved
from app.core.catalog_row import CatalogRow
from app.core.errors import InvalidRequest
from app.core.inputs.encoded import is_url
from app.core.inputs.kept import Sent, sent
from app.core.inputs.picture import Picture, StoredPicture, check_size, picture_of, read_picture
from app.core.spec import Role
from app.egress.pictures import FetchPicture
from app.files.naming import FindFile


@dataclass(frozen=True)
class _Field:
    """A field that holds a picture."""

    name: str
    role: Role
    text: str


async def read_pictures(body: Inputs, model: Resolved, fetch: FetchPicture, find: FindFile) -> tuple[Sent, ...]:
    """Every picture of the body, in the order in which a network reads them: what it holds, what is fetched, what was uploaded.

    Raises InvalidRequest for a picture that nobody would look at, before any is fetched or decoded, and for one that is none.
    """
    fields = _without_unused_source(_with_masked_image(_filled(body)))
    _check_taken(fields, model)
    _check_needed(body, fields, model)
    min_side = max(model.row.takes.min_side, model.runs.takes.min_side)
    pictures = await _all_read(fields, min_side, fetch, find)
    read = tuple(sent(one.name, one.role, picture) for one, picture in zip(fields, pictures, strict=True))
    _check_references(read, model.runs.takes.max_reference_ratio)
    _check_mask(read)
    return read


async def _all_read(
    fields: Sequence[_Field], min_side: int, fetch: FetchPicture, find: FindFile
) -> list[Picture | StoredPicture]:
    """URLs are fetched beside each other; the first fault ends all."""
    try:
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(_read(one, min_side, fetch, find)) for one in fields]
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None
    return [one.result() for one in reading]


async def _read(field: _Field, min_side: int, fetch: FetchPicture, find: FindFile) -> Picture | StoredPicture:
    uploaded = await find(field.name, field.text)
    if uploaded is not None:
        check_size(field.name, uploaded.header, min_side)
        return uploaded
    if not is_url(field.text):
        return await asyncio.to_thread(read_picture, field.name, field.text, min_side)
    data = await fetch(field.name, field.text)
    return await asyncio.to_thread(picture_of, field.name, data, min_side)


def pictures_for(pictures: Sequence[Sent], *roles: Role) -> list[Sent]:
    """Those of these roles, in order."""
    return [one for one in pictures if one.image.role in roles]


def _filled(body: Inputs) -> list[_Field]:
    fields = (_Field(*one) for one in body.sent())
    return [one for one in fields if one.text]


def _with_masked_image(fields: list[_Field]) -> list[_Field]:
    """With a mask and no image, the first reference is the picture that is changed."""
    roles = [one.role for one in fields]
    if "mask" not in roles or "image" in roles or "reference" not in roles:
        return fields
    first = roles.index("reference")
    return [replace(one, role="image") if index == first else one for index, one in enumerate(fields)]


def _without_unused_source(fields: list[_Field]) -> list[_Field]:
    """Ready edges or depth make the picture that they come from superfluous."""
    is_ready = any(one.role == "control" for one in fields)
    return [one for one in fields if not (is_ready and one.role == "control_source")]


def _check_taken(fields: Sequence[_Field], model: Resolved) -> None:
    """Raise for the first picture that the network has no use for."""
    counts: Counter[Role] = Counter()
    for one in fields:
        counts[one.role] += 1
        most = model.runs.takes.pictures.get(one.role, 0)
        if counts[one.role] > most:
            message = f"{one.name}: {_why_not(one.role, most, model)}"
            raise InvalidRequest(message, field=one.name, value=one.text, limit="absent, null or empty")


def _why_not(role: Role, most: int, model: Resolved) -> str:
    runs = model.runs
    instead = model.row.takes.instead.get(role) or runs.takes.instead.get(role)
    if instead is not None:
        return instead
    who = runs.name if runs.name == model.row.name else f"{model.row.name} runs on {runs.name} here, which"
    return f"{who} takes at most {most} of these" if most else f"{who} takes no such picture"


def _check_needed(body: Inputs, fields: Sequence[_Field], model: Resolved) -> None:
    for row in (model.row, model.runs):
        if row.takes.needs and not any(one.role in row.takes.needs for one in fields):
            raise _missing(body, row)
    masks = [one for one in fields if one.role == "mask"]
    if masks and not any(one.role == "image" for one in fields):
        message = "mask: there is no picture that it could lie over"
        raise InvalidRequest(message, field="mask", limit="beside a picture")


def _missing(body: Inputs, row: CatalogRow) -> InvalidRequest:
    fields = [name for name, role in body.pictures().items() if role in row.takes.needs]
    if not fields:
        message = (
            f"{row.name} draws from a picture, and this route takes none for it; its operator can change the alias"
        )
        return InvalidRequest(message, field="body")
    text = " or ".join(name for name in fields if row.takes.pictures.get(body.pictures()[name]))
    return InvalidRequest(f"{row.name} draws from a picture: send {text}", field=fields[0], limit="a picture")


def _check_references(pictures: Sequence[Sent], max_ratio: float) -> None:
    for one in pictures_for(pictures, "reference"):
        width, height = one.picture.size
        if max(width, height) > max_ratio * min(width, height):
            message = f"{one.field}: the longer side may be {max_ratio:g} times the shorter"
            raise InvalidRequest(message, field=one.field, value=f"{width}x{height}", limit=f"{max_ratio:g}:1")


def _check_mask(pictures: Sequence[Sent]) -> None:
    for mask in pictures_for(pictures, "mask"):
        image = pictures_for(pictures, "image")[0]
        if mask.picture.size != image.picture.size:
            message = f"{mask.field} must be as large as {image.field}"
            size, limit = (f"{width}x{height}" for width, height in (mask.picture.size, image.picture.size))
            raise InvalidRequest(message, field=mask.field, value=size, limit=limit)
