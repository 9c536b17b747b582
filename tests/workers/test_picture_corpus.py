"""Files that are no good, through everything that reads them: the gateway refuses them by name, or the worker says so; none ends a process.

What the gateway lets through is what a header cannot tell; the worker decodes it, under the same fence as in service.
"""

import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from app.core.errors import InvalidRequest
from app.core.inputs.picture import Picture, picture_of
from app.core.spec import InputImage
from tests.fixtures.pictures import animation, picture_file, png_claiming
from workers.errors import JobError
from workers.inputs import decoded

NUM_MUTATIONS = 4_000
PNG = b"\x89PNG\r\n\x1a\n"


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes, *, checksum: int | None = None) -> bytes:
    found = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", found)


def png(*chunks: bytes) -> bytes:
    return PNG + b"".join(chunks)


def header(width: int = 64, height: int = 64, depth: int = 8, colour: int = 2, *rest: int) -> bytes:
    compression, filters, interlace = (*rest, 0, 0, 0)[:3]
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, compression, filters, interlace))


END = chunk(b"IEND", b"")
BOMB = zlib.compress(bytes(64 << 20), 9)
GOOD_PNG, GOOD_JPEG, GOOD_WEBP = (picture_file(64, 64, file_format=name) for name in ("PNG", "JPEG", "WEBP"))
NOISE = random.Random(1).randbytes(4096)

CORPUS: dict[str, bytes] = {
    "one byte": b"\x89",
    "noise": NOISE,
    "zeros": bytes(4096),
    "a text": b"GIF89a is no format of ours" * 10,
    "a gif": saved(Image.new("P", (64, 64)), "GIF"),
    "a bmp": saved(Image.new("RGB", (64, 64)), "BMP"),
    "a tiff": saved(Image.new("RGB", (64, 64)), "TIFF"),
    "an svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "an xml bomb": b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><svg>&a;</svg>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run",
    "a zip": b"PK\x03\x04" + NOISE,
    "png: signature alone": PNG,
    "png: signature and noise": PNG + NOISE,
    "png: no header": png(END),
    "png: no data": png(header(), END),
    "png: no end": GOOD_PNG[:-12],
    "png: half": GOOD_PNG[: len(GOOD_PNG) // 2],
    "png: wrong checksum": png(chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0), checksum=1), END),
    "png: no pixels wide": png(header(0, 64), chunk(b"IDAT", zlib.compress(b"")), END),
    "png: no pixels high": png(header(64, 0), chunk(b"IDAT", zlib.compress(b"")), END),
    "png: two billion wide": png_claiming(2**31 - 1, 1),
    "png: negative": png_claiming(2**31, 2**31),
    "png: a hundred gigapixels": png_claiming(300_000, 300_000),
    "png: depth 7": png(header(64, 64, 7), chunk(b"IDAT", zlib.compress(bytes(64 * 200))), END),
    "png: colour 9": png(header(64, 64, 8, 9), chunk(b"IDAT", zlib.compress(bytes(64 * 200))), END),
    "png: unknown compression": png(header(64, 64, 8, 2, 5), chunk(b"IDAT", zlib.compress(bytes(64 * 193))), END),
    "png: unknown interlacing": png(header(64, 64, 8, 2, 0, 0, 7), chunk(b"IDAT", zlib.compress(bytes(64 * 193))), END),
    "png: palette without one": png(header(64, 64, 8, 3), chunk(b"IDAT", zlib.compress(bytes(64 * 65))), END),
    "png: data that is no zlib": png(header(), chunk(b"IDAT", NOISE), END),
    "png: data that ends early": png(header(), chunk(b"IDAT", zlib.compress(bytes(100))), END),
    "png: a chunk longer than the file": PNG + struct.pack(">I", 2**31 - 1) + b"IDAT" + NOISE,
    "png: a bomb behind its pixels": png(header(), chunk(b"IDAT", BOMB), END),
    "png: a bomb in a text": png(header(), chunk(b"zTXt", b"x\0\0" + BOMB), chunk(b"IDAT", zlib.compress(bytes(64 * 193))), END),
    "png: a bomb in a profile": png(header(), chunk(b"iCCP", b"x\0\0" + BOMB), chunk(b"IDAT", zlib.compress(bytes(64 * 193))), END),
    "png: a bomb in an international text": png(header(), chunk(b"iTXt", b"x\0\1\0\0\0" + BOMB), chunk(b"IDAT", zlib.compress(bytes(64 * 193))), END),
    "png: a thousand headers": png(*(header() for _ in range(1000)), END),
    "png: broken exif": png(header(), chunk(b"eXIf", b"MM\0*" + NOISE[:64]), chunk(b"IDAT", zlib.compress(bytes(64 * 193))), END),
    "jpeg: start alone": b"\xff\xd8\xff",
    "jpeg: noise": b"\xff\xd8\xff\xe0" + NOISE,
    "jpeg: half": GOOD_JPEG[: len(GOOD_JPEG) // 2],
    "jpeg: end alone": b"\xff\xd8\xff\xd9",
    "jpeg: no pixels": GOOD_JPEG.replace(b"\xff\xc0\0\x11\x08\0\x40\0\x40", b"\xff\xc0\0\x11\x08\0\0\0\0"),
    "jpeg: sixty thousand squared": GOOD_JPEG.replace(b"\xff\xc0\0\x11\x08\0\x40\0\x40", b"\xff\xc0\0\x11\x08\xff\xff\xff\xff"),
    "jpeg: twelve bits": GOOD_JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
    "jpeg: a segment longer than the file": b"\xff\xd8\xff\xe1\xff\xff" + NOISE[:100],
    "webp: start alone": b"RIFF\0\0\0\0WEBP",
    "webp: noise": b"RIFF" + struct.pack("<I", 4092) + b"WEBPVP8 " + NOISE,
    "webp: half": GOOD_WEBP[: len(GOOD_WEBP) // 2],
    "webp: size that lies": GOOD_WEBP[:4] + struct.pack("<I", 2**32 - 1) + GOOD_WEBP[8:],
    "webp: extended and empty": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\xff" * 10,
    "polyglot: png then zip": GOOD_PNG + b"PK\x03\x04" + NOISE,
}  # fmt: skip
GOOD = {
    "polyglot: png then zip", "png: a bomb behind its pixels", "png: broken exif", "png: unknown compression",
    "png: palette without one",
}  # fmt: skip
"""Pictures all the same: what is broken in them, or lies behind their pixels, is not read."""


def read(data: bytes) -> str:
    """What becomes of a file: refused at once, refused late, or drawn from. Anything else is raised."""
    try:
        picture = picture_of("image", data, 16)
    except InvalidRequest:
        return "refused"
    try:
        _decode(picture)
    except JobError:
        return "refused late"
    return "drawn"


def _decode(picture: Picture) -> None:
    width, height = picture.size
    content_type = picture.header.content_type
    kept = InputImage(
        role="image", key="k", sha256=picture.sha256, content_type=content_type, width=width, height=height
    )
    decoded([(kept, picture.data)])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Pillow warns of broken metadata, which it then leaves out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", CORPUS)
def test_a_file_that_is_no_good_is_refused_or_said_to_be_unreadable(name: str) -> None:
    assert (read(CORPUS[name]) == "drawn") is (name in GOOD)


def test_the_corpus_is_as_long_as_promised() -> None:
    assert len(set(CORPUS.values())) >= 40


def bases() -> list[bytes]:
    """Good files of every kind that is taken."""
    noise = Image.effect_noise((48, 32), 80)
    colours = Image.merge("RGB", [noise, noise.transpose(Image.Transpose.ROTATE_180), noise])
    exif, texts = Image.Exif(), PngInfo()
    exif[0x0112], exif[0x010E] = 6, "a description"
    texts.add_text("a", "b" * 200, zip=True)
    texts.add_itxt("k", "v" * 200, zip=True)
    modes = [saved(colours.convert(mode), "PNG") for mode in ("P", "RGBA", "1", "L")]
    return [
        *modes, saved(colours, "PNG", exif=exif), saved(colours, "PNG", pnginfo=texts), animation("PNG"),
        saved(colours, "JPEG", exif=exif), saved(colours, "JPEG", progressive=True), saved(colours.convert("CMYK"), "JPEG"),
        saved(colours, "WEBP", exif=exif), saved(colours.convert("RGBA"), "WEBP", lossless=True), animation("WEBP"),
    ]  # fmt: skip


def mutations(chance: random.Random) -> list[Callable[[bytearray, int], None]]:
    def overwritten(data: bytearray, at: int) -> None:
        data[at] = chance.choice([0, 127, 128, 255, chance.randrange(256)])

    def cut(data: bytearray, at: int) -> None:
        del data[at + 1 :]

    def grown(data: bytearray, at: int) -> None:
        data[at:at] = chance.randbytes(chance.randrange(8))

    return [overwritten, overwritten, overwritten, cut, grown]


def test_no_mutation_of_a_good_file_does_worse() -> None:
    chance, good = random.Random(12), bases()
    ways, ends = mutations(chance), set[str]()
    for _ in range(NUM_MUTATIONS):
        data, mutate = bytearray(chance.choice(good)), chance.choice(ways)
        for _ in range(chance.choice([1, 1, 2, 5, 20])):
            mutate(data, chance.randrange(len(data)))
        ends.add(read(bytes(data)))
    assert ends == {"refused", "refused late", "drawn"}
