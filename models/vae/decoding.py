"""Latents to pictures: in the dtype of the weights, in bounded memory, and never black for want of range.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns.
"""

import torch
from torch import Tensor

from models.vae.autoencoder import Autoencoder
from models.vae.memory import within_memory
from models.vae.precision import in_finite_numbers
from models.vae.tiling import Geometry, Tiling, in_tiles


@torch.no_grad()
def decoded(autoencoder: Autoencoder, latent_BCHW: Tensor, tiling: Tiling) -> Tensor:
    """Decode latents of any size.

    Up to the tiling's threshold this equals autoencoder.decode, as long as memory suffices.

    Args:
        autoencoder: decodes in the dtype of its weights; one in half precision decodes a picture that is not finite once
            more in float32.
        latent_BCHW: as autoencoder.encode returns them, in any floating dtype.
        tiling: which pictures are decoded in tiles, and in which.

    Returns:
        Pictures, in the weights' dtype. Values may leave [-1, 1] a little.

    Raises:
        NonFiniteImage: float32 did not help, or the latents are not finite.
        torch.OutOfMemoryError: not even the smallest tiles fit.
    """
    params = autoencoder.params
    geometry = Geometry(pixels_in=params.pixels_per_coarse, pixels_out=1, channels_out=params.in_channels)

    def decode(network: Autoencoder, latent_BCHW: Tensor) -> Tensor:
        z_BCHW, decoder = network.from_latent(latent_BCHW), network.decoder
        height, width = (side * params.pixels_per_z for side in z_BCHW.shape[2:])
        return within_memory(
            (height, width),
            tiling,
            lambda: decoder(z_BCHW),
            lambda tiles: in_tiles(decoder.fine, decoder.coarse(z_BCHW), geometry, tiles),
        )

    return in_finite_numbers(autoencoder, latent_BCHW, decode)
