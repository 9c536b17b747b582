"""The pictures of a claimed row: fetched from the object store, checked against what was submitted, and decoded in a thread."""

import asyncio
from collections.abc import Iterable
from hashlib import sha256
from io import BytesIO

from PIL import Image, ImageOps

from app.core.inputs.header import DAMAGED
from app.core.spec import GenerationSpec, InputImage, Role
from app.core.storage.base import ObjectMissing, ObjectStore
from models.images import upright
from models.pipeline.request import Control, EdgeThresholds, Margins, PictureInputs
from workers.errors import InputLost, InputUnreadable

Pictures = list[tuple[Role, Image.Image]]


async def pictures_of(spec: GenerationSpec, store: ObjectStore) -> PictureInputs:
    """Fetch and decode the inputs of a request.

    Raises:
        InputLost: the store no longer has one, or has something else under its name.
        InputUnreadable: one cannot be decoded.
        OSError: the store does not answer.
    """
    contents = [await _fetched(image, store) for image in spec.inputs]
    pictures = await asyncio.to_thread(decoded, list(zip(spec.inputs, contents, strict=True)))
    margins = None if spec.margins is None else Margins(**spec.margins.model_dump())
    edges = EdgeThresholds() if spec.canny is None else EdgeThresholds(spec.canny.low, spec.canny.high)
    return PictureInputs(
        image=_changed(spec, pictures),
        mask=_mask(spec, pictures),
        margins=margins,
        references=tuple(_of(pictures, "reference")),
        control=_only(pictures, "control"),
        control_source=_only(pictures, "control_source"),
        edges=edges,
        image_prompts=tuple(_of(pictures, "image_prompt")),
        controls=_controls(spec, pictures),
    )


def _controls(spec: GenerationSpec, pictures: Pictures) -> tuple[Control, ...]:
    """Every ControlNet with the picture of its place."""
    followed = _of(pictures, "controlnet")
    return tuple(
        Control(control.network, picture, control.scale, control.start, control.end, control.mode)
        for control, picture in zip(spec.controls, followed, strict=True)
    )


def _changed(spec: GenerationSpec, pictures: Pictures) -> Image.Image | None:
    """The picture to change. Its transparency is a mask only where the request says so."""
    image = _only(pictures, "image")
    return image if image is None or spec.mask_from_alpha else image.convert("RGB")


def _mask(spec: GenerationSpec, pictures: Pictures) -> Image.Image | None:
    """White where the picture is to be changed, whichever way round it came."""
    mask = _only(pictures, "mask")
    if mask is None or not spec.mask_is_transparent:
        return mask
    return ImageOps.invert(mask.convert("RGBA").getchannel("A"))


async def _fetched(image: InputImage, store: ObjectStore) -> bytes:
    try:
        data = await store.get(image.key)
    except ObjectMissing as error:
        raise InputLost(image.role) from error
    if sha256(data).hexdigest() != image.sha256:
        raise InputLost(image.role)
    return data


def decoded(found: Iterable[tuple[InputImage, bytes]]) -> Pictures:
    """Files as pictures, upright, with what each is for. Raises InputUnreadable."""
    return [(image.role, _picture(image, data)) for image, data in found]


def _picture(image: InputImage, data: bytes) -> Image.Image:
    try:
        with Image.open(BytesIO(data)) as opened:
            return upright(opened)
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise InputUnreadable(image.role) from error


def _of(pictures: Pictures, role: Role) -> list[Image.Image]:
    return [picture for its_role, picture in pictures if its_role == role]


def _only(pictures: Pictures, role: Role) -> Image.Image | None:
    return next(iter(_of(pictures, role)), None)
