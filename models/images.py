"""From the autoencoder's output to 8-bit RGB.

Shape suffixes: H, W = rows and columns of pixels, C = colour channels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
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
    if not bool(torch.isfinite(image_CHW).all()):
        bad = int((~torch.isfinite(image_CHW)).sum())
        raise NonFiniteImage(f"the network produced {bad} values of {image_CHW.numel()} that are NaN or infinite")
    unit_HWC = (image_CHW * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0).float().cpu()
    levels_HWC: NDArray[np.float32] = unit_HWC.numpy()
    return np.rint(levels_HWC * 255).astype(np.uint8)


def to_image(pixels_HWC: NDArray[np.uint8]) -> Image.Image:
    """RGB pixels as a Pillow image."""
    return Image.fromarray(pixels_HWC)
