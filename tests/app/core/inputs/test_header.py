"""Headers: what they say of honest pictures, and that dishonest ones are refused without being decoded."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.core.inputs.header import BadPicture, Header, read_header
from tests.fixtures.pictures import EXIF_TURNED_RIGHT, animation, picture_file, png_claiming

DAMAGED_EXIF = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
"""Pillow tells of damaged EXIF data by a warning."""
FORMATS = ["PNG", "JPEG", "WEBP"]
SAMPLES = {
    **{name: picture_file(40, 30, file_format=name) for name in FORMATS},
    **{f"{name} turned": picture_file(40, 30, file_format=name, orientation=EXIF_TURNED_RIGHT) for name in FORMATS},
    "progressive": picture_file(40, 30, file_format="JPEG", progressive=True),
    "lossless": picture_file(40, 30, file_format="WEBP", lossless=True),
}


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_type_is_what_the_bytes_are(file_format: str) -> None:
    header = read_header(picture_file(100, 70, file_format=file_format))
    assert header == Header(f"image/{file_format.lower()}", 100, 70, has_alpha=False)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_width_and_height_are_those_of_the_picture_as_it_is_seen(file_format: str, orientation: int) -> None:
    header = read_header(picture_file(100, 70, file_format=file_format, orientation=orientation))
    assert (header.width, header.height) == ((100, 70) if orientation < 5 else (70, 100))


@DAMAGED_EXIF
def test_a_damaged_orientation_turns_nothing() -> None:
    for exif in (b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff"):
        assert read_header(picture_file(100, 70, file_format="JPEG", exif=exif)).width == 100


@pytest.mark.parametrize(
    ("mode", "file_format", "has_alpha"),
    [
        ("RGBA", "PNG", True), ("LA", "PNG", True), ("RGBA", "WEBP", True), ("RGB", "WEBP", False), ("L", "PNG", False),
        ("P", "PNG", False), ("1", "PNG", False), ("I;16", "PNG", False), ("CMYK", "JPEG", False), ("L", "JPEG", False),
    ],
)  # fmt: skip
def test_every_mode_that_a_file_may_have_is_taken(mode: str, file_format: str, has_alpha: bool) -> None:
    header = read_header(picture_file(20, 10, mode=mode, file_format=file_format))
    assert (header.width, header.height, header.has_alpha) == (20, 10, has_alpha)


def test_a_transparent_colour_is_alpha_too() -> None:
    assert read_header(picture_file(20, 10, mode="P", transparency=0)).has_alpha
    assert read_header(picture_file(20, 10, transparency=(0, 0, 0))).has_alpha


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"GIF89a" + bytes(20), b"<svg/>", b"RIFF\0\0\0\0WAVE", b"BM" + bytes(60)]
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(BadPicture, match="not a PNG, JPEG or WebP file"):
        read_header(data)


def test_the_name_of_a_format_does_not_make_a_picture() -> None:
    for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\0\0\0WEBPVP8 "):
        with pytest.raises(BadPicture, match=r"damaged|cut off"):
            read_header(start + bytes(100))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_animations_are_refused(file_format: str) -> None:
    with pytest.raises(BadPicture, match="animation"):
        read_header(animation(file_format))


def test_the_first_picture_of_a_phones_file_counts() -> None:
    """Phones put a second picture (a depth or brightness map) behind the first."""
    header = read_header(animation("MPO", (90, 40)))
    assert (header.content_type, header.width) == ("image/jpeg", 90)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("part", [0.98, 0.7, 0.3])
def test_half_a_picture_is_refused(name: str, part: float) -> None:
    data = SAMPLES[name]
    with pytest.raises(BadPicture):
        read_header(data[: int(len(data) * part)])


def test_what_lies_behind_a_picture_is_not_looked_at() -> None:
    for name in ("PNG", "JPEG"):
        assert read_header(SAMPLES[name] + b"a film").width == 40


@pytest.mark.parametrize("side", [20_000, 100_000, 2**31 - 1])
def test_a_promise_of_many_pixels_is_only_read(side: int) -> None:
    tracemalloc.start()
    try:
        header = read_header(png_claiming(side, side))
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    assert (header.width, header.height) == (side, side)


def test_a_webp_that_promises_as_much_as_it_can_is_read_or_refused() -> None:
    start = b"VP8X\x0a\0\0\0\0\0\0\0" + (2**24 - 1).to_bytes(3, "little") * 2
    with pytest.raises(BadPicture):
        read_header(b"RIFF" + (4 + len(start)).to_bytes(4, "little") + b"WEBP" + start)


@DAMAGED_EXIF
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damage_anywhere_is_read_or_refused_and_never_worse(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = read_header(bytes(damaged))
    except BadPicture:
        return
    assert min(header.width, header.height) > 0


def test_no_header_needs_pillows_own_look_around() -> None:
    """Image.open would warn at many pixels, and warnings are one for a whole process."""
    assert Image.MAX_IMAGE_PIXELS is not None
    assert read_header(png_claiming(20_000, 20_000)).height == 20_000
