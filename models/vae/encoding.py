"""Pictures to latents: in the dtype of the weights and in bounded memory.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns.
"""

import torch
from torch import Tensor

from models.vae.autoencoder import Autoencoder
from models.vae.blocks import FINE_LEVELS
from models.vae.memory import within_memory
from models.vae.precision import in_finite_numbers
from models.vae.tiling import Geometry, Tiling, in_tiles


@torch.no_grad()
def encoded(
    autoencoder: Autoencoder, image_BCHW: Tensor, tiling: Tiling, generator: torch.Generator | None = None
) -> Tensor:
    """Encode pictures of any size.

    Up to the tiling's threshold this equals autoencoder.encode, as long as memory suffices. A generator draws the same
    noise whether tiles are used or not.

    Args:
        autoencoder: encodes in the dtype of its weights; one in half precision encodes a picture whose latents are not
            finite once more in float32.
        image_BCHW: pictures in [-1, 1], in any floating dtype; both sides are multiples of params.pixels_per_position.
        tiling: which pictures are encoded in tiles, and in which.
        generator: None takes the encoder's mean; else a sample is drawn, bit for bit as Diffusers draws it.

    Returns:
        Latents, in the weights' dtype.

    Raises:
        NonFiniteImage: float32 did not help, or the pictures are not finite.
        torch.OutOfMemoryError: not even the smallest tiles fit.
    """
    params = autoencoder.params
    channels = params.block_channels[:FINE_LEVELS][-1]
    geometry = Geometry(pixels_in=1, pixels_out=params.pixels_per_coarse, channels_out=channels)

    def encode(network: Autoencoder, image_BCHW: Tensor) -> Tensor:
        height, width = image_BCHW.shape[2:]
        encoder = network.encoder
        return within_memory(
            (height, width),
            tiling,
            lambda: encoder(image_BCHW),
            lambda tiles: encoder.coarse(in_tiles(encoder.fine, image_BCHW, geometry, tiles)),
        )

    return autoencoder.to_latent(in_finite_numbers(autoencoder, image_BCHW, encode), generator)
