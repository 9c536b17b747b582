"""Pictures in the store: a place of their own for each task, gone when the task was not made."""

import json

import pytest

from app.core.errors import InvalidRequest
from app.core.inputs.kept import Sent, input_keys, kept, sent
from app.core.inputs.picture import MAX_SIDE, read_picture
from app.core.spec import SPEC_VERSION
from app.core.storage.memory import MemoryObjectStore
from tests.fixtures.accounts import nano_spec
from tests.fixtures.pictures import encoded, picture, picture_file, png_claiming

pytestmark = pytest.mark.anyio


def two_pictures() -> list[Sent]:
    read = read_picture("input_image", picture(80, 64), min_side=16)
    return [sent("input_image", "reference", read), sent("input_image_2", "reference", read)]


def test_the_same_picture_twice_lies_in_two_places() -> None:
    one, other = two_pictures()
    assert one.image.key != other.image.key
    assert one.image.key.startswith(f"inputs/{one.image.sha256[:2]}/")
    assert (one.image.width, one.image.height, one.image.content_type) == (80, 64, "image/png")


async def test_pictures_stay_after_a_block_that_ends_well() -> None:
    store, pictures = MemoryObjectStore(), two_pictures()
    async with kept(store, pictures):
        assert store.objects == {one.image.key: picture_file(80, 64) for one in pictures}
    assert len(store.objects) == 2


async def test_pictures_go_with_a_block_that_fails() -> None:
    store = MemoryObjectStore()
    with pytest.raises(KeyError):
        async with kept(store, two_pictures()):
            raise KeyError
    assert store.objects == {}


async def test_pictures_go_when_one_of_them_cannot_be_stored() -> None:
    class FullStore(MemoryObjectStore):
        async def put(self, key: str, data: bytes, content_type: str) -> None:
            if self.objects:
                raise OSError("no space left")
            await super().put(key, data, content_type)

    store = FullStore()
    with pytest.raises(OSError, match="no space"):
        async with kept(store, two_pictures()):
            raise AssertionError("never reached")
    assert store.objects == {}


def test_keys_are_found_in_a_spec_of_any_version() -> None:
    images = tuple(one.image for one in two_pictures())
    spec = nano_spec().model_copy(update={"inputs": images}).to_json()
    newer = json.dumps({**json.loads(spec), "version": SPEC_VERSION + 1, "colour": "blue"})
    assert input_keys(spec) == input_keys(newer) == [image.key for image in images]
    assert input_keys(nano_spec().to_json()) == input_keys("{}") == input_keys("no json") == []


@pytest.mark.parametrize(
    ("width", "height"), [(15, 100), (100, 15), (MAX_SIDE + 1, 100), (20_000, 20_000), (8192, 4096), (2**31 - 1, 1)]
)
def test_a_picture_outside_the_limits_is_refused_with_its_size(width: int, height: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_picture("mask", encoded(png_claiming(width, height)), min_side=16)
    assert (caught.value.field, caught.value.value) == ("mask", f"{width}x{height}")
