"""How a picture was made, as tools read it from the file; whatever a prompt holds, the file is valid and its pixels are the same."""

import json
import re
from datetime import UTC, datetime
from io import BytesIO

import c2pa  # pyright: ignore[reportMissingTypeStubs] - it has types, but does not say so
import numpy as np
import pytest
from PIL import ExifTags, Image

from app.core.config import Settings
from app.core.spec import GenerationSpec, OutputFormat
from tests.fixtures.accounts import nano_spec
from workers.artifacts import encode, signed
from workers.provenance.certificates import own_identity
from workers.provenance.credentials import Credentials
from workers.provenance.generation_data import GenerationData
from workers.provenance.marks import open_marks

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
OURS = {
    "model": "sdxl",
    "network": "sdxl-base",
    "negative_prompt": "blur, noise",
    "sampler": "dpm++ 2m",
    "strength": 0.5,
}


def file_of(spec: GenerationSpec) -> bytes:
    return encode(PIXELS, spec.output_format, None, GenerationData(spec, "1.2")).data


def spec_of(output_format: OutputFormat = "png", **fields: object) -> GenerationSpec:
    return nano_spec(seed=7).model_copy(update={"output_format": output_format, **fields})


def parameters_in(data: bytes) -> str:
    """As tools look for it: the text chunk of a PNG, the user comment of the others."""
    with Image.open(BytesIO(data)) as image:
        image.load()
        if image.format == "PNG":
            return image.info["parameters"]
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment[:8] == b"UNICODE\0"
    return comment[8:].decode("utf-16-be")


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_every_format_says_how_it_was_made_as_automatic1111_writes_it(output_format: OutputFormat) -> None:
    assert parameters_in(file_of(spec_of(output_format, **OURS))) == (
        "red apple on a blue background\n"
        "Negative prompt: blur, noise\n"
        "Steps: 16, Sampler: dpm++ 2m, CFG scale: 3.0, Seed: 7, Size: 128x128, Denoising strength: 0.5, "
        "Model: sdxl-base, Version: Darkroom 1.2"
    )


def test_a_png_says_it_as_json_too() -> None:
    with Image.open(BytesIO(file_of(spec_of(true_cfg_scale=2.0, **OURS)))) as image:
        image.load()
        told, texts = json.loads(image.info["darkroom"]), set(image.info)
    assert texts == {"parameters", "darkroom"}
    assert {name: told[name] for name in OURS} == OURS
    assert (told["prompt"], told["seed"], told["steps"], told["guidance"]) == (
        "red apple on a blue background",
        7,
        16,
        3.0,
    )
    assert (told["width"], told["height"], told["true_cfg_scale"], told["version"]) == (128, 128, 2.0, "1.2")


def test_exif_has_the_prompt_as_a_description() -> None:
    with Image.open(BytesIO(file_of(spec_of("jpeg")))) as image:
        exif = image.getexif()
    assert exif[ExifTags.Base.ImageDescription] == "red apple on a blue background"
    assert exif[ExifTags.Base.Software] == "Darkroom 1.2"


LONGEST = "🍎" * 131_072
HOSTILE = {
    "null bytes": ("a\0b\0", "a\ufffdb\ufffd\n"),
    "escapes": ("\x1b[2Jred\x07\x7f\x85\r\n\tapple", "\ufffd[2Jred\ufffd\ufffd\ufffd\n\tapple\n"),
    "other scripts": ("りんご 🍎 تفاحة яблоко", "りんご 🍎 تفاحة яблоко\n"),
    "latin": ("café, naïve", "café, naïve\n"),
    "half a character": ("apple \ud83c", "apple \ufffd\n"),
    "chunks": ("IEND®B`\x82 IDAT", "IEND®B`\ufffd IDAT\n"),
    "markup": ("</x:xmpmeta><script> %s {} ${HOME}", "</x:xmpmeta><script> %s {} ${HOME}\n"),
    "fake settings": ("apple\nSteps: 1, Seed: 99", "apple\nSteps: 1, Seed: 99\n"),
    "10,000 characters": ("りんご🍎" * 2_500, "りんご🍎" * 2_400),
    "the longest": (LONGEST, LONGEST[:6_000]),
}


@pytest.mark.parametrize(("prompt", "beginning"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_hostile_prompts_give_valid_files_with_the_same_pixels(
    output_format: OutputFormat, prompt: str, beginning: str
) -> None:
    spec = spec_of(output_format, prompt=prompt, negative_prompt=prompt)
    data, plain = file_of(spec), encode(PIXELS, output_format).data
    with Image.open(BytesIO(data)) as image, Image.open(BytesIO(plain)) as bare:
        assert np.array_equal(np.asarray(image), np.asarray(bare))
    found = parameters_in(data)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", found)
    assert found.startswith(beginning)
    assert found.splitlines()[-1].startswith("Steps: 16, ")


def test_whether_it_is_written_is_the_requests_choice_and_else_the_operators() -> None:
    for default in (False, True):
        chosen = {"credentials": False, "generation_data": default}
        marks = open_marks(Settings.model_validate({"provenance": chosen}), datetime.now(UTC))
        assert (marks.about(spec_of()) is not None) == default
        assert marks.about(spec_of(embed_metadata=False)) is None
        assert marks.about(spec_of(embed_metadata=True)) is not None


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_what_is_signed_holds_what_was_written(output_format: OutputFormat) -> None:
    spec = spec_of(output_format, prompt=HOSTILE["other scripts"][0])
    plain = encode(PIXELS, output_format, None, GenerationData(spec, "1.2"))
    picture = signed(plain, spec, Credentials(own_identity(datetime.now(UTC))))
    assert parameters_in(picture.data) == parameters_in(plain.data)
    with c2pa.Reader(picture.content_type, BytesIO(picture.data)) as reader:
        assert reader.get_validation_state() == "Valid"
