"""Pictures, masks and references to the pixels that a network sees, with Pillow's filters, as Diffusers prepares them.

Shape suffixes: B = 1, C = channels, H, W = rows and columns of pixels.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.errors import UnsupportedInput
from models.pipeline.request import Margins, PictureInputs
from models.specs import References
from models.vision.canny import edges

LANCZOS = Image.Resampling.LANCZOS
MIN_REFERENCE_SIDE, MAX_REFERENCE_ASPECT = 64, 8
MASK_THRESHOLD = 0.5
FRAME = (127, 127, 127)


def pixels(image: Image.Image, width: int, height: int) -> Tensor:
    """Return a picture at this size, B x 3 x H x W in [-1, 1], float32. Other proportions are stretched."""
    return levels(image, width, height) * 2 - 1


def levels(image: Image.Image, width: int, height: int) -> Tensor:
    """Return a picture at this size, B x 3 x H x W in [0, 1], float32, as ControlNets see it."""
    return _unit(image.resize((width, height), LANCZOS).convert("RGB"))


def mask_pixels(mask: Image.Image, width: int, height: int) -> Tensor:
    """Return a mask at this size, B x 1 x H x W: 1 where the picture is to change, 0 where it is to stay."""
    return (_unit(mask.resize((width, height), LANCZOS).convert("L")) >= MASK_THRESHOLD).float()


def _unit(image: Image.Image) -> Tensor:
    """Levels in [0, 1]. Colours stay together in memory, as Pillow has them: convolutions round bfloat16 by that, as in Diffusers."""
    levels_HWC = np.asarray(image, np.float32).reshape(image.height, image.width, -1) / np.float32(255.0)
    return torch.from_numpy(levels_HWC)[None].permute(0, 3, 1, 2)  # pyright: ignore[reportUnknownMemberType] (untyped)


def reference_size(image: Image.Image, policy: References, multiple: int) -> tuple[int, int]:
    """Return width and height at which a network reads a reference.

    Raises:
        UnsupportedInput: the picture is too small or too narrow to be read.
    """
    width, height = image.size
    if policy.sizes:
        return min(policy.sizes, key=lambda size: (abs(width / height - size[0] / size[1]), size))
    if min(width, height) < MIN_REFERENCE_SIDE or max(width / height, height / width) > MAX_REFERENCE_ASPECT:
        raise UnsupportedInput(
            f"a reference of {width} x {height} pixels cannot be read: its sides must be at least {MIN_REFERENCE_SIDE} pixels, "
            f"and the longer at most {MAX_REFERENCE_ASPECT} times the shorter"
        )
    width, height = _shrunk(width, height, policy.max_pixels)
    return width // multiple * multiple, height // multiple * multiple


def _shrunk(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    if width * height <= max_pixels:
        return width, height
    scale = math.sqrt(max_pixels / (width * height))
    return int(width * scale), int(height * scale)


def reference_pixels(image: Image.Image, policy: References, multiple: int) -> Tensor:
    """Return a reference as a network reads it, B x 3 x H x W in [-1, 1].

    Brought to one of the policy's sizes, or shrunk to its area and cut about the middle to whole patches.
    """
    width, height = reference_size(image, policy, multiple)
    if policy.sizes:
        return pixels(image, width, height)
    shrunk = _shrunk(*image.size, policy.max_pixels)
    if shrunk != image.size:
        image = image.resize(shrunk, LANCZOS)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return pixels(image.crop((left, top, left + width, top + height)), width, height)


def control_pixels(inputs: PictureInputs, width: int, height: int) -> Tensor:
    """Return what is to be followed at this size, B x 3 x H x W in [-1, 1]: as it was given, or the edges of a picture."""
    if inputs.control is not None:
        return pixels(inputs.control, width, height)
    assert inputs.control_source is not None
    source = np.asarray(inputs.control_source.convert("RGB").resize((width, height), LANCZOS))
    return pixels(Image.fromarray(edges(source, inputs.edges.low, inputs.edges.high)), width, height)


class Source(NamedTuple):
    """A picture to change, and the mask that says where; None changes all of it."""

    image: Image.Image
    mask: Image.Image | None


def masked(inputs: PictureInputs) -> Source | None:
    """Return the picture to change and its mask: as given, from its transparent part, or with margins around it.

    Raises:
        UnsupportedInput: the mask has another size than the picture.
    """
    image, mask = inputs.image, inputs.mask
    if image is None:
        return None
    if mask is not None and mask.size != image.size:
        raise UnsupportedInput(
            f"mask is {mask.width} x {mask.height} pixels, its image {image.width} x {image.height}; they must be equal"
        )
    if mask is None and "A" in image.getbands():
        mask = image.getchannel("A").point([255 - level for level in range(256)])
    return Source(image, mask) if inputs.margins is None else _extended(image, mask, inputs.margins)


def _extended(image: Image.Image, mask: Image.Image | None, margins: Margins) -> Source:
    """A frame around the picture: grey, and white in the mask."""
    size = (image.width + margins.left + margins.right, image.height + margins.top + margins.bottom)
    corner = (margins.left, margins.top)
    canvas, whole_mask = Image.new("RGB", size, FRAME), Image.new("L", size, 255)
    canvas.paste(image.convert("RGB"), corner)
    whole_mask.paste(Image.new("L", image.size, 0) if mask is None else mask.convert("L"), corner)
    return Source(canvas, whole_mask)
