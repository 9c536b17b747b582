"""Pictures to the pixels that a vision encoder reads, as its preprocessor_config.json says, by transformers' processors on Pillow.

They run on Pillow even where torchvision is installed, whose resizing differs by up to two levels of 255 in one pixel of fifty.

Shape suffixes: B = pictures, C = channels, H, W = pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.errors import MalformedConfig, MissingComponent
from models.images import to_image

FILE = "preprocessor_config.json"


class Processor(Protocol):
    """The part of transformers' image processors that is used here."""

    size: dict[str, int]

    def preprocess(
        self, images: list[Image.Image], *, do_resize: bool, do_convert_rgb: bool, return_tensors: str
    ) -> dict[str, Tensor]: ...


class Kind(Protocol):
    """A class of them."""

    def from_pretrained(self, folder: str, *, local_files_only: bool) -> Processor: ...


class Preprocessor:
    """Resizes, cuts, rescales and normalises."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        """Read a processor's folder.

        Raises:
            MissingComponent: the folder holds no preprocessor_config.json.
            MalformedConfig: it is broken.
        """
        if not (folder / FILE).is_file():
            raise MissingComponent(f"{folder} holds no {FILE}")
        try:
            self._processor = kind.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MalformedConfig(f"{folder / FILE} is no image processor: {error}") from error

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return the pixels that the encoder reads: B x C x H x W, float32.

        Args:
            pictures: RGB, height x width x 3, of any size each.
        """
        images = [to_image(pixels_HWC) for pixels_HWC in pictures]
        found = self._processor.preprocess(images, do_resize=True, do_convert_rgb=True, return_tensors="pt")
        return found["pixel_values"]
