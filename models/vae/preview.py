"""Previews: what latents look like, by a linear map from every token to a few pixels.

A decoder takes longer than a step; a matrix product takes nothing that is noticed. The map is fitted to the network's own encoder
by least squares on pictures that have as much contrast in every octave, as photographs do (Field 1987), so no family needs constants.

Shape suffixes: B = pictures, L = tokens, C = channels of a token, P = values of a token's square of pixels, H, W = rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor
from torch.nn import functional

SIDE: Final = 4
"""Pixels of a preview, a side, for each token."""
LONGEST_SIDE: Final = 256
"""Pixels of the longer side of a preview, at most."""
NUM_PICTURES: Final = 4
TOKENS_A_SIDE: Final = 16
RIDGE: Final = 1e-4
"""Share of the mean variance of a channel that is added to every channel's, so that channels that do not vary are ignored."""
SEED: Final = 0

Encode = Callable[[Tensor], Tensor]
"""Pixels in [-1, 1], 1 x 3 x H x W, to tokens, L x C."""


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map from tokens to squares of pixels.

    Attributes:
        weights_CP: float32, on the device of the latents.
        bias_P: float32, there too.
    """

    weights_CP: Tensor
    bias_P: Tensor

    @torch.no_grad()
    def pixels(self, latents_LC: Tensor, rows: int, columns: int) -> Tensor:
        """What clean latents look like: uint8, H x W x 3, at most LONGEST_SIDE a side, on their device. Never waits for it."""
        squares_LP = latents_LC.float() @ self.weights_CP + self.bias_P
        planes_PHW = squares_LP.T.reshape(1, -1, rows, columns)
        image_BCHW = functional.pixel_shuffle(planes_PHW, SIDE)
        height, width = rows * SIDE, columns * SIDE
        if max(height, width) > LONGEST_SIDE:
            scale = LONGEST_SIDE / max(height, width)
            smaller = max(1, round(height * scale)), max(1, round(width * scale))
            image_BCHW = functional.interpolate(image_BCHW, size=smaller, mode="area")
        levels_CHW = torch.nan_to_num(image_BCHW[0] * 127.5 + 127.5).clamp(0, 255).round()
        return levels_CHW.to(torch.uint8).permute(1, 2, 0)


@torch.no_grad()
def fitted(encode: Encode, pixels_per_position: int) -> Projection:
    """Fit a projection to an encoder.

    Args:
        encode: of the network whose latents are to be seen; its mean, where it draws.
        pixels_per_position: side in pixels of the square that one token stands for.
    """
    pictures_BCHW = photograph_like(NUM_PICTURES, TOKENS_A_SIDE * pixels_per_position, SEED)
    tokens = [encode(picture_CHW[None]) for picture_CHW in pictures_BCHW]
    latents_LC = torch.cat(tokens).double().cpu()
    small_BCHW = functional.interpolate(pictures_BCHW.double(), size=(TOKENS_A_SIDE * SIDE,) * 2, mode="area")
    squares_LP = functional.pixel_unshuffle(small_BCHW, SIDE).flatten(2).transpose(1, 2).flatten(0, 1)
    weights_CP, bias_P = _least_squares(latents_LC, squares_LP)
    device = tokens[0].device
    return Projection(weights_CP.to(device, torch.float32), bias_P.to(device, torch.float32))


def photograph_like(num_pictures: int, side: int, seed: int) -> Tensor:
    """Draw pictures of large shapes and fine detail alike, in colours of their own: values in [-1, 1], B x 3 x H x W, float32."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(num_pictures, 3, *shape, generator=generator)

    octaves = [noise(side >> fold, side >> fold) for fold in range(side.bit_length() - 1)]
    wide = [functional.interpolate(octave, size=(side, side), mode="bilinear") for octave in octaves]
    detail_BCL = torch.stack(wide).sum(dim=0).flatten(2) / len(wide) ** 0.5
    mix_BCC = torch.eye(3) + noise(1)  # what all three colours have in common is light
    mixed_BCL = 0.3 * mix_BCC @ detail_BCL + 0.3 * noise(1)
    return mixed_BCL.reshape(num_pictures, 3, side, side).clamp(-1, 1)


def outlook(before_LC: Tensor, after_LC: Tensor, t_before: float, t_after: float) -> Tensor:
    """Where the line through the latents before and after a step ends at time 0: the picture that the network sees now.

    Exact for Euler's method, on a flow or in the sigmas of a diffusion. In float32, L x C.

    Args:
        before_LC: latents at t_before.
        after_LC: latents at t_after, which is smaller.
        t_before: time, or sigma, above 0.
        t_after: time in [0, t_before).
    """
    slope_LC = (after_LC.float() - before_LC.float()) / (t_after - t_before)
    return after_LC.float() - t_after * slope_LC


def _least_squares(x_LC: Tensor, y_LP: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and bias of the best linear map from x to y, by ridge regression (Hoerl and Kennard 1970)."""
    mean_x_C, mean_y_P = x_LC.mean(dim=0), y_LP.mean(dim=0)
    x_LC, y_LP = x_LC - mean_x_C, y_LP - mean_y_P
    gram_CC = x_LC.T @ x_LC
    ridge = RIDGE * gram_CC.diagonal().mean() + torch.finfo(gram_CC.dtype).tiny
    weights_CP = cast(
        Tensor,
        torch.linalg.solve(gram_CC + ridge * torch.eye(len(gram_CC)).to(gram_CC), x_LC.T @ y_LP),  # pyright: ignore[reportUnknownMemberType] (untyped)
    )
    return weights_CP, mean_y_P - mean_x_C @ weights_CP
