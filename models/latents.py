"""Layout of latents: planes to tokens and back, and the position of every token.

Shape suffixes: B = rows, L = tokens, C = channels, H, W = rows and columns of latent positions, 4 = position axes
(reference, row, column, text position); A = those that a network has.
"""

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import UnsupportedSize


def latent_grid(width: int, height: int, pixels_per_position: int) -> tuple[int, int]:
    """Return rows and columns of latent positions of a picture.

    Raises:
        UnsupportedSize: a side is no positive multiple of pixels_per_position.
    """
    for name, side in (("width", width), ("height", height)):
        if side < pixels_per_position or side % pixels_per_position:
            raise UnsupportedSize(f"{name} {side} is no positive multiple of {pixels_per_position}")
    return height // pixels_per_position, width // pixels_per_position


def packed(latent_BCHW: Tensor) -> Tensor:
    """Planes to tokens, row by row: B C H W -> B (H W) C."""
    return latent_BCHW.flatten(2).transpose(1, 2)


def unpacked(latent_BLC: Tensor, rows: int, columns: int) -> Tensor:
    """Tokens to planes; undoes packed."""
    batch, _, channels = latent_BLC.shape
    return latent_BLC.transpose(1, 2).reshape(batch, channels, rows, columns)


def patched(latent_BCHW: Tensor, patch: int = 2) -> Tensor:
    """Fold squares of neighbours into channels, ordered channel, row, column: B C pH pW -> B (p p C) H W."""
    return functional.pixel_unshuffle(latent_BCHW, patch)


def unpatched(latent_BCHW: Tensor, patch: int = 2) -> Tensor:
    """Undo patched."""
    return functional.pixel_shuffle(latent_BCHW, patch)


def image_ids(rows: int, columns: int, *, reference: int = 0, num_axes: int = 4) -> Tensor:
    """Positions (reference, row, column, 0...) of a picture's tokens, in the order of packed: L x A, integers."""
    axes = torch.tensor([reference]), torch.arange(rows), torch.arange(columns), *[torch.arange(1)] * (num_axes - 3)
    return torch.cartesian_prod(*axes)


def text_ids(length: int) -> Tensor:
    """Positions (0, 0, 0, l) of FLUX.2's text tokens: L x 4, integers."""
    return torch.cartesian_prod(torch.arange(1), torch.arange(1), torch.arange(1), torch.arange(length))
