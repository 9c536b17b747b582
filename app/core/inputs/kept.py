"""Pictures in the object store: there before their task is, and gone when it was not made or is over."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from app.core.errors import InvalidRequest
from app.core.ids import new_id
from app.core.inputs.picture import Picture, StoredPicture
from app.core.spec import InputImage, Role
from app.core.storage.base import ObjectMissing, ObjectStore


@dataclass(frozen=True)
class Sent:
    """A picture of a request: the field that it came in, what it is for, and where it will be kept."""

    field: str
    picture: Picture | StoredPicture
    image: InputImage


def sent(field: str, role: Role, picture: Picture | StoredPicture) -> Sent:
    """Give a picture a place of its own: the same bytes in another task lie elsewhere, so each task deletes only its own."""
    header = picture.header
    key = f"inputs/{picture.sha256[:2]}/{new_id()}"
    image = InputImage(
        role=role,
        key=key,
        sha256=picture.sha256,
        content_type=header.content_type,
        width=header.width,
        height=header.height,
    )
    return Sent(field, picture, image)


@asynccontextmanager
async def kept(store: ObjectStore, pictures: Iterable[Sent]) -> AsyncGenerator[None]:
    """Store the pictures for a block that makes their task; when the block fails, they go again.

    A process that dies inside leaves objects that no row knows; they hurt nobody but the disk.
    """
    keys: list[str] = []
    try:
        for one in pictures:
            keys.append(one.image.key)
            await _store(store, one)
        yield
    except BaseException:
        await remove(store, keys)
        raise


async def _store(store: ObjectStore, one: Sent) -> None:
    """Put a picture where its task will look; one that was uploaded is copied, so that it may go before the task does."""
    if isinstance(one.picture, Picture):
        await store.put(one.image.key, one.picture.data, one.image.content_type)
        return
    try:
        await store.copy(one.picture.key, one.image.key)
    except ObjectMissing:
        raise InvalidRequest(f"{one.field}: the file has just been deleted", field=one.field) from None


async def remove(store: ObjectStore, keys: Iterable[str]) -> None:
    """Delete objects; one that is not there is none."""
    for key in keys:
        await store.delete(key)


def input_keys(spec_json: str) -> list[str]:
    """Where the pictures of a stored spec lie, also of one whose version this process cannot read; none of one that is damaged."""
    try:
        return [image.key for image in _Keys.model_validate_json(spec_json).inputs]
    except ValidationError:
        return []


class _Key(BaseModel, defer_build=True):
    key: str


class _Keys(BaseModel, defer_build=True):
    """What every version of the spec has in common."""

    inputs: tuple[_Key, ...] = ()
