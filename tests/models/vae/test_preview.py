"""The linear preview: exact where the encoder is linear, close on a real one, and at time 0 the picture itself."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

import models
from models.pipeline.loading import load_components
from models.vae.preview import LONGEST_SIDE, SIDE, Projection, fitted, outlook, photograph_like

NANO = Path(models.__file__).parent / "bundled" / "flux-nano"
PIXELS = 16
CHANNELS = 4 * 3 * SIDE**2


def small(image_BCHW: Tensor) -> Tensor:
    """The picture at the size of its preview."""
    return functional.interpolate(image_BCHW, scale_factor=SIDE / PIXELS, mode="area")


def linear_encoder(image_BCHW: Tensor) -> Tensor:
    """More channels than a square of pixels has values, mixed at random, and an offset."""
    squares_LP = functional.pixel_unshuffle(small(image_BCHW), SIDE).flatten(2)[0].T
    mix_PC = torch.randn(3 * SIDE**2, CHANNELS, generator=torch.Generator().manual_seed(1))
    return squares_LP @ mix_PC + 0.5


def levels(image_CHW: Tensor) -> Tensor:
    return image_CHW.permute(1, 2, 0) * 127.5 + 127.5


def test_a_linear_encoder_is_undone() -> None:
    picture_BCHW = photograph_like(1, 4 * PIXELS, seed=5)
    shown = fitted(linear_encoder, PIXELS).pixels(linear_encoder(picture_BCHW), 4, 4)
    assert (shown.float() - levels(small(picture_BCHW)[0])).abs().max() < 4


def test_latents_of_the_bundled_network_look_like_their_picture() -> None:
    components = load_components(NANO, dtype=torch.float32)
    projection = fitted(lambda image_BCHW: components.encode_picture(image_BCHW, None), components.pixels_per_position)
    picture_BCHW = photograph_like(1, 8 * PIXELS, seed=5)
    shown = projection.pixels(components.encode_picture(picture_BCHW, None), 8, 8)
    errors = shown.float() - levels(small(picture_BCHW)[0])
    assert 10 * torch.log10(255**2 / errors.square().mean()) > 22


def test_a_large_picture_is_shown_small_in_its_proportions_and_nan_is_no_error() -> None:
    projection = Projection(torch.zeros(1, 3 * SIDE**2), torch.zeros(3 * SIDE**2))
    shown = projection.pixels(torch.full((128 * 64, 1), torch.nan), 128, 64)
    assert shown.shape == (LONGEST_SIDE, LONGEST_SIDE // 2, 3)
    assert shown.dtype == torch.uint8


def test_the_line_of_a_straight_flow_ends_in_its_picture() -> None:
    picture, noise = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))

    def at(t: float) -> Tensor:
        return (1 - t) * picture + t * noise

    assert torch.allclose(outlook(at(0.9), at(0.4), 0.9, 0.4), picture, atol=1e-5)
    assert torch.equal(outlook(at(0.4), picture, 0.4, 0.0), picture)
