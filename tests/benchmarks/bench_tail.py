"""The tail of a picture: from the autoencoder's output to a file, by encoder and size.

`python -m tests.benchmarks.bench_tail [--sizes 128 512 1024] [--rounds N]`

At the end, what content credentials and generation data add to a file, and to the time that it takes.

Pillow and OpenCV are the project's own; simplejpeg, fpng and imagecodecs are looked at where they are installed. Two pictures: a texture
whose spectrum falls as a photograph's does, with a little noise, and a drawing (the samples of flux-nano, tiled).
"""

import argparse
import importlib
import importlib.util
import itertools
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from app.core.spec import OUTPUT_FORMATS, GenerationSpec, OutputFormat
from models.images import to_uint8
from tests.benchmarks.rounds import CLOCKS, by_turns, median_ms
from workers.artifacts import encode, signed
from workers.provenance.certificates import own_identity
from workers.provenance.credentials import Credentials
from workers.provenance.generation_data import GenerationData

Pixels = NDArray[np.uint8]
Encoder = Callable[[Pixels], bytes]

SAMPLES = Path(__file__).parents[2] / "models" / "bundled" / "flux-nano" / "samples.png"
QUALITY = 95
PNG_FILTERS = {
    "average": cv2.IMWRITE_PNG_FILTER_AVG,
    "Paeth": cv2.IMWRITE_PNG_FILTER_PAETH,
    "best": cv2.IMWRITE_PNG_ALL_FILTERS,
}


def main() -> None:
    asked = _arguments()
    table = Table("picture", "side", "encoder", "ms", "kB", "of ours: ms", "bytes", "exact")
    for side in asked.sizes:
        for picture, pixels_HWC in {"texture": texture(side), "drawing": drawing(side)}.items():
            _measure(table, picture, pixels_HWC, asked.rounds, asked.clock)
    Console(width=120).print(table)
    _measure_marks(asked.sizes, asked.rounds, asked.clock)
    _measure_levels(asked.sizes, asked.rounds, asked.clock)


def texture(side: int) -> Pixels:
    """Amplitudes fall with frequency as they do in photographs (1/f), with noise of one level: H x W x C."""
    draw = np.random.default_rng(0)
    spectrum_CHW = np.fft.rfft2(draw.standard_normal((3, side, side)))
    frequency_HW = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency_HW[0, 0] = 1.0
    smooth_CHW = np.fft.irfft2(spectrum_CHW / frequency_HW, s=(side, side))
    levels_CHW = 128 + 45 * smooth_CHW / smooth_CHW.std() + draw.standard_normal(smooth_CHW.shape)
    return np.ascontiguousarray(levels_CHW.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def drawing(side: int) -> Pixels:
    """What flux-nano draws, beside itself until the side is full."""
    with Image.open(SAMPLES) as samples:
        sheet_HWC = np.asarray(samples.convert("RGB"))
    tiles = -(-side // sheet_HWC.shape[0]), -(-side // sheet_HWC.shape[1]), 1
    return np.ascontiguousarray(np.tile(sheet_HWC, tiles)[:side, :side])


def encoders() -> dict[str, Encoder]:
    """By name; `ours` of each format first."""
    found: dict[str, Encoder] = {"png ours": lambda pixels: encode(pixels, "png").data}
    for level in (1, 2, 3, 6):
        found[f"png Pillow {level}"] = partial(_pillow, format="png", compress_level=level)
    found["png Pillow 1 runs"] = partial(_pillow, format="png", compress_level=1, compress_type=zlib.Z_RLE)
    found["png Pillow 1 Huffman"] = partial(_pillow, format="png", compress_level=1, compress_type=zlib.Z_HUFFMAN_ONLY)
    for name, pngs_filter in PNG_FILTERS.items():
        flags = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, pngs_filter]
        flags += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
        found[f"png OpenCV 1 runs {name}"] = partial(_opencv, suffix=".png", flags=flags)
    found["png OpenCV 1"] = partial(_opencv, suffix=".png", flags=[cv2.IMWRITE_PNG_COMPRESSION, 1])
    found["jpeg ours"] = lambda pixels: encode(pixels, "jpeg").data
    found["jpeg Pillow 4:2:0"] = partial(_pillow, format="jpeg", quality=QUALITY)
    sampling = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    found["jpeg OpenCV"] = partial(_opencv, suffix=".jpg", flags=sampling)
    found["webp ours"] = lambda pixels: encode(pixels, "webp").data
    for method in (0, 1, 2, 3, 4, 6):
        found[f"webp Pillow {method}"] = partial(_pillow, format="webp", quality=QUALITY, method=method)
    found["webp OpenCV"] = partial(_opencv, suffix=".webp", flags=[cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    return found | _others()


def _others() -> dict[str, Encoder]:
    """Packages that the project does not have."""
    found: dict[str, Encoder] = {}
    if (codec := _installed("simplejpeg")) is not None:
        found["jpeg simplejpeg"] = lambda pixels: codec.encode_jpeg(pixels, quality=QUALITY, colorsubsampling="444")
    if (fpng := _installed("fpng")) is not None:
        found["png fpng"] = fpng.from_ndarray
    if (codecs := _installed("imagecodecs")) is not None:
        found["png imagecodecs 1"] = lambda pixels: codecs.png_encode(pixels, level=1)
        found["jpeg imagecodecs"] = lambda pixels: codecs.jpeg8_encode(pixels, level=QUALITY, subsampling="444")
    return found


def _installed(name: str) -> Any:
    return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None


def _pillow(pixels_HWC: Pixels, **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels_HWC).save(buffer, **options)
    return buffer.getvalue()


def _opencv(pixels_HWC: Pixels, suffix: str, flags: list[int]) -> bytes:
    """OpenCV's channels go the other way round."""
    is_encoded, data = cv2.imencode(suffix, cv2.cvtColor(pixels_HWC, cv2.COLOR_RGB2BGR), flags)
    assert is_encoded
    return data.tobytes()


def _measure(table: Table, picture: str, pixels_HWC: Pixels, rounds: int, clock: str) -> None:
    sides = encoders()
    files = {name: encoder(pixels_HWC) for name, encoder in sides.items()}
    seconds = by_turns({name: partial(side, pixels_HWC) for name, side in sides.items()}, rounds, CLOCKS[clock])
    for name, data in sorted(files.items(), key=lambda item: (item[0].split()[0], median_ms(seconds, item[0]))):
        ours = f"{name.split()[0]} ours"
        took_ms, our_ms = median_ms(seconds, name), median_ms(seconds, ours)
        with Image.open(BytesIO(data)) as back:
            is_exact = np.array_equal(np.asarray(back), pixels_HWC)
        part = f"{took_ms / our_ms:.2f}", f"{len(data) / len(files[ours]):.2f}", "yes" if is_exact else "no"
        table.add_row(picture, str(pixels_HWC.shape[0]), name, f"{took_ms:.2f}", f"{len(data) / 1000:.0f}", *part)


def _measure_marks(sizes: list[int], rounds: int, clock: str) -> None:
    """What content credentials and generation data cost beside the encoding, in time and bytes."""
    table = Table(
        "side", "format", "encoding ms", "its data ms", "bytes", "signing ms", "bytes", "share of the encoding"
    )
    credentials = Credentials(own_identity(datetime.now(UTC)))
    for side, output_format in itertools.product(sizes, OUTPUT_FORMATS):
        pixels_HWC, spec = texture(side), _spec(side, output_format)
        about, plain = GenerationData(spec, "1"), encode(pixels_HWC, output_format)
        told = encode(pixels_HWC, output_format, None, about)
        sides: dict[str, Callable[[], object]] = {
            "plain": partial(encode, pixels_HWC, output_format),
            "told": partial(encode, pixels_HWC, output_format, None, about),
            "signed": partial(signed, plain, spec, credentials),
        }
        seconds = by_turns(sides, rounds, CLOCKS[clock])
        plain_ms, told_ms, signed_ms = (median_ms(seconds, name) for name in sides)
        grown = len(told.data) - len(plain.data), len(signed(plain, spec, credentials).data) - len(plain.data)
        times = f"{plain_ms:.2f}", f"{told_ms - plain_ms:.2f}", str(grown[0]), f"{signed_ms:.2f}", str(grown[1])
        table.add_row(str(side), output_format, *times, f"{signed_ms / plain_ms:.2f}")
    Console(width=120).print(table)


def _spec(side: int, output_format: OutputFormat) -> GenerationSpec:
    return GenerationSpec(
        model="flux-nano",
        network="flux-nano",
        prompt="a watercolour of a lighthouse at dawn, soft light, detailed",
        seed=1,
        width=side,
        height=side,
        steps=16,
        guidance=3.0,
        output_format=output_format,
    )


def _measure_levels(sizes: list[int], rounds: int, clock: str) -> None:
    """From the autoencoder's numbers to levels."""
    table = Table("side", "dtype", "levels ms")
    for side in sizes:
        for dtype in (torch.float32, torch.bfloat16):
            image_CHW = torch.rand((3, side, side)).mul(2.2).sub(1.1).to(dtype)
            seconds = by_turns({"levels": partial(to_uint8, image_CHW)}, rounds, CLOCKS[clock])
            table.add_row(str(side), str(dtype).removeprefix("torch."), f"{median_ms(seconds, 'levels'):.2f}")
    Console(width=120).print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The tail of a picture")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 512, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
