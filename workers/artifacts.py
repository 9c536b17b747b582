"""Encoding of finished images: PNG through OpenCV, JPEG and WebP through Pillow. The same pixels always give the same bytes, until they
are signed.

Which encoder, and with which options, was chosen by measuring: tests/benchmarks/README.md, bench_tail.
"""

from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any, Literal

import cv2
from numpy import uint8
from numpy.typing import NDArray
from PIL import Image

from app.core.spec import GenerationSpec
from app.core.storage.base import CONTENT_TYPES
from workers.provenance.generation_data import GenerationData
from workers.provenance.manifest import manifest_of
from workers.provenance.remembering import Signer
from workers.provenance.software import software_version
from workers.provenance.text_chunks import with_png_texts

OutputFormat = Literal["png", "jpeg", "webp"]

_PNG_FLAGS = (
    # One filter for all rows, and runs alone in the place of a search for repetitions: half the time of Pillow's level 1 and
    # fewer bytes.
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
)
_SAVE_OPTIONS: dict[Literal["jpeg", "webp"], dict[str, int]] = {
    "jpeg": {"quality": 95, "subsampling": 0},
    # Little more than half the time of Pillow's default 4, for 1 % more bytes.
    "webp": {"quality": 95, "method": 2},
}


@dataclass(frozen=True, slots=True)
class Artifact:
    """An encoded image."""

    data: bytes
    content_type: str
    sha256: str
    width: int
    height: int


def encode(
    image_HWC: NDArray[uint8],
    output_format: OutputFormat,
    quality: int | None = None,
    about: GenerationData | None = None,
) -> Artifact:
    """Encode RGB pixels at their own size.

    Args:
        image_HWC: rows, columns, channels.
        output_format: of the file.
        quality: of JPEG and WebP, 0 to 100, None for ours. PNG has none.
        about: how it was made, to be written into the file; the pixels stay the same.
    """
    data = _png(image_HWC, about) if output_format == "png" else _lossy(image_HWC, output_format, quality, about)
    height, width = image_HWC.shape[:2]
    return _artifact(data, output_format, width, height)


def signed(artifact: Artifact, spec: GenerationSpec, credentials: Signer) -> Artifact:
    """The same picture with content credentials.

    Raises:
        SigningFailed: it cannot be signed.
    """
    data = credentials.signed(artifact.data, artifact.content_type, manifest_of(spec, software_version()))
    return _artifact(data, spec.output_format, artifact.width, artifact.height)


def _artifact(data: bytes, output_format: OutputFormat, width: int, height: int) -> Artifact:
    return Artifact(data, CONTENT_TYPES[output_format], sha256(data).hexdigest(), width, height)


def _png(image_HWC: NDArray[uint8], about: GenerationData | None) -> bytes:
    is_encoded, data = cv2.imencode(".png", cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR), _PNG_FLAGS)
    if not is_encoded:
        raise ValueError(f"no PNG can be made of {image_HWC.shape} pixels")
    return data.tobytes() if about is None else with_png_texts(data.tobytes(), about.png_texts())


def _lossy(
    image_HWC: NDArray[uint8],
    output_format: Literal["jpeg", "webp"],
    quality: int | None,
    about: GenerationData | None,
) -> bytes:
    buffer = BytesIO()
    options: dict[str, Any] = dict(_SAVE_OPTIONS[output_format])
    if quality is not None:
        options["quality"] = quality
    if about is not None:
        options["exif"] = about.exif()
    Image.fromarray(image_HWC).save(buffer, format=output_format, **options)
    return buffer.getvalue()
