"""A row's pictures: fetched, checked against what was submitted, turned upright, and given their roles."""

from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.core.spec import CannyThresholds, GenerationSpec, InputImage, Margins, Role
from app.core.spec import Control as SpecControl
from app.core.storage.memory import MemoryObjectStore
from models.pipeline.request import EdgeThresholds
from models.pipeline.request import Margins as PictureMargins
from tests.fixtures.accounts import nano_spec
from workers.errors import InputLost, InputUnreadable
from workers.inputs import pictures_of

pytestmark = pytest.mark.anyio

RED, BLUE = Image.new("RGB", (6, 4), "red"), Image.new("RGB", (6, 4), "blue")


def encoded(image: Image.Image, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


async def stored(store: MemoryObjectStore, role: Role, data: bytes, *, digest: str | None = None) -> InputImage:
    key = f"inputs/{role}/{sha256(data).hexdigest()}"
    await store.put(key, data, "image/png")
    digest = digest or sha256(data).hexdigest()
    return InputImage(role=role, key=key, sha256=digest, content_type="image/png", width=6, height=4)


def with_inputs(*inputs: InputImage, **changes: object) -> GenerationSpec:
    return nano_spec().model_copy(update={"inputs": inputs, **changes})


async def test_pictures_get_their_roles_and_references_keep_their_order() -> None:
    store = MemoryObjectStore()
    spec = with_inputs(
        await stored(store, "reference", encoded(BLUE)),
        await stored(store, "image", encoded(RED)),
        await stored(store, "reference", encoded(RED)),
        await stored(store, "mask", encoded(RED.convert("L"))),
        margins=Margins(top=1, bottom=2, left=3, right=4),
        canny=CannyThresholds(low=10, high=20),
    )
    pictures = await pictures_of(spec, store)
    assert [image.getpixel((0, 0)) for image in pictures.references] == [(0, 0, 255), (255, 0, 0)]
    assert pictures.image is not None
    assert pictures.image.getpixel((0, 0)) == (255, 0, 0)
    assert pictures.mask is not None
    assert pictures.mask.mode == "L"
    assert (pictures.control, pictures.control_source, pictures.image_prompts) == (None, None, ())
    assert pictures.margins == PictureMargins(top=1, bottom=2, left=3, right=4)
    assert pictures.edges == EdgeThresholds(10, 20)


async def test_every_controlnet_gets_the_picture_of_its_place() -> None:
    store = MemoryObjectStore()
    spec = with_inputs(
        await stored(store, "controlnet", encoded(BLUE)),
        await stored(store, "image", encoded(RED)),
        await stored(store, "controlnet", encoded(RED)),
        controls=(SpecControl(network="canny", scale=0.5, end=0.9), SpecControl(network="depth", start=0.1)),
    )
    one, other = (await pictures_of(spec, store)).controls
    assert (one.network, one.scale, one.start, one.end) == ("canny", 0.5, 0.0, 0.9)
    assert (other.network, other.scale, other.start, other.end) == ("depth", 1.0, 0.1, 1.0)
    assert [control.image.getpixel((0, 0)) for control in (one, other)] == [(0, 0, 255), (255, 0, 0)]


async def test_a_picture_stands_as_its_exif_data_says() -> None:
    store = MemoryObjectStore()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    sideways = Image.fromarray(np.arange(72, dtype=np.uint8).reshape(4, 6, 3))
    pictures = await pictures_of(with_inputs(await stored(store, "image", encoded(sideways, exif=exif))), store)
    assert pictures.image is not None
    assert np.array_equal(np.asarray(pictures.image), np.rot90(np.asarray(sideways), -1))


@pytest.mark.parametrize(("mask_from_alpha", "mode"), [(True, "RGBA"), (False, "RGB")])
async def test_transparency_is_a_mask_only_where_the_request_says_so(mask_from_alpha: bool, mode: str) -> None:
    store = MemoryObjectStore()
    see_through = Image.new("RGBA", (6, 4), (255, 0, 0, 0))
    image = await stored(store, "image", encoded(see_through))
    pictures = await pictures_of(with_inputs(image, mask_from_alpha=mask_from_alpha), store)
    assert pictures.image is not None
    assert pictures.image.mode == mode


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
async def test_a_transparent_mask_is_white_where_it_lets_through(mode: str) -> None:
    store = MemoryObjectStore()
    mask = Image.new(mode, (6, 4))
    mask.putalpha(Image.linear_gradient("L").resize((6, 4)))
    inputs = [await stored(store, "image", encoded(RED)), await stored(store, "mask", encoded(mask))]
    read = (await pictures_of(with_inputs(*inputs, mask_is_transparent=True), store)).mask
    assert read is not None
    assert read.mode == "L"
    np.testing.assert_array_equal(np.asarray(read), 255 - np.asarray(mask.getchannel("A")))


async def test_a_picture_that_is_gone_or_is_another_is_lost() -> None:
    store = MemoryObjectStore()
    image = await stored(store, "reference", encoded(RED))
    await store.delete(image.key)
    with pytest.raises(InputLost, match=r"picture \(reference\) is no longer stored"):
        await pictures_of(with_inputs(image), store)
    other = await stored(store, "mask", encoded(RED), digest=sha256(b"something else").hexdigest())
    with pytest.raises(InputLost, match=r"picture \(mask\)"):
        await pictures_of(with_inputs(other), store)


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(RED)[:50]])
async def test_bytes_that_are_no_picture_are_said_to_be_damaged(data: bytes) -> None:
    store = MemoryObjectStore()
    with pytest.raises(InputUnreadable, match=r"picture \(image\) cannot be decoded"):
        await pictures_of(with_inputs(await stored(store, "image", data)), store)
