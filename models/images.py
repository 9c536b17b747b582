"""From the autoencoder's output to 8-bit RGB, and from files to pictures that stand upright.

Shape suffixes: H, W = rows and columns of pixels, C = colour channels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from models.errors import NonFiniteImage


def to_uint8(image_CHW: Tensor) -> NDArray[np.uint8]:
    """Map [-1, 1] to 0..255, rounding as Diffusers does: to [0, 1] in the tensor's own dtype, then to the nearest level.

    Args:
        image_CHW: picture; values outside [-1, 1] are clipped.

    Returns:
        H x W x C on the host.

    Raises:
        NonFiniteImage: a value is NaN or infinite.
    """
    # A sum is the cheapest look at all values: one that is not finite makes it so, too.
    if not bool(torch.isfinite(image_CHW.sum(dtype=torch.float32))):
        _refuse_non_finite(image_CHW)
    unit_CHW = (image_CHW * 0.5 + 0.5).clamp_(0, 1)
    # On the device and as bytes, so that a quarter is copied to the host; torch rounds halves to even, as numpy does.
    levels_CHW = unit_CHW.float().mul_(255).round_().to(torch.uint8)
    return levels_CHW.permute(1, 2, 0).contiguous().cpu().numpy()


def _refuse_non_finite(image_CHW: Tensor) -> None:
    """Large values may add up to more than a float holds; only those that are not finite themselves are refused."""
    bad = int((~torch.isfinite(image_CHW)).sum())
    if bad:
        raise NonFiniteImage(f"the network produced {bad} values of {image_CHW.numel()} that are NaN or infinite")


def to_image(pixels_HWC: NDArray[np.uint8]) -> Image.Image:
    """RGB pixels as a Pillow image."""
    return Image.fromarray(pixels_HWC)


def upright(image: Image.Image) -> Image.Image:
    """A picture as it is meant to be seen: turned as its EXIF data says, 8 bits a channel, RGB, L, or RGBA when parts are transparent.

    Raises:
        OSError, ValueError, SyntaxError: the file behind it is damaged.
    """
    turned = ImageOps.exif_transpose(image)
    if "transparency" in turned.info or turned.mode in ("LA", "PA", "La", "RGBa"):
        return turned.convert("RGBA")
    if turned.mode.startswith("I") or turned.mode == "F":
        return _eight_bits(turned)
    return turned.copy() if turned.mode in ("RGB", "RGBA", "L") else turned.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Sixteen bits to eight: Pillow's own conversion cuts off what is above 255."""
    levels = np.asarray(image.convert("I")).clip(0, 65535)
    return Image.fromarray((levels // 257).astype(np.uint8))
