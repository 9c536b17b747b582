"""Edges of a picture, as the networks of FLUX.1 Canny were given them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import UnsupportedInput

LOW, HIGH = 50, 200
"""The thresholds with which FLUX.1 Canny was published."""

MAX_GRADIENT = 2040
"""Largest sum of |horizontal| and |vertical| gradient: 4 * 255 each."""


def edges(pixels_HWC: NDArray[np.uint8], low: int = LOW, high: int = HIGH) -> NDArray[np.uint8]:
    """Find edges by Canny 1986, 10.1109/TPAMI.1986.4767851, with 3 x 3 Sobel gradients of the strongest colour channel.

    Args:
        pixels_HWC: RGB picture.
        low: gradient from which a pixel that touches an edge belongs to it, 0..2040.
        high: gradient from which a pixel begins an edge, low..2040.

    Returns:
        White edges on black, the same in three channels, H x W x 3.

    Raises:
        UnsupportedInput: the thresholds are out of range or in the wrong order.
    """
    if not 0 <= low <= high <= MAX_GRADIENT:
        raise UnsupportedInput(f"thresholds {low} and {high} are not 0 <= low <= high <= {MAX_GRADIENT}")
    edges_HW = cv2.Canny(pixels_HWC, low, high).astype(np.uint8)
    return np.repeat(edges_HW[:, :, None], 3, axis=2)
