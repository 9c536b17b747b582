"""FLUX.1's autoencoder: pictures to scaled latents and back. With other sizes it is Stable Diffusion's.

Reading files belongs to models.checkpoints, folding 2 x 2 latents into tokens to models.latents.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns.
Pictures are in [-1, 1]; a latent has one position for every pixels_per_z x pixels_per_z pixels (8 x 8 at full size).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.vae.blocks import AutoencoderParams, Decoder, Encoder
from models.vae.gaussian import drawn


@dataclass(frozen=True)
class AutoencoderFlux1Params(AutoencoderParams):
    """Sizes of the network and scale of its latents. The defaults are those of the published FLUX.1 autoencoder.

    Attributes:
        scale: factor that gives latents about unit variance.
        shift: their mean, subtracted before scaling.
    """

    scale: float = 0.3611
    shift: float = 0.1159


class AutoencoderFlux1(nn.Module):
    """The autoencoder of FLUX.1 (BFL `AutoEncoder`, Diffusers' AutoencoderKL).

    A loaded network is contiguous, because only so are bfloat16 pictures equal to Diffusers' bit for bit.
    """

    def __init__(self, params: AutoencoderFlux1Params) -> None:
        super().__init__()
        self.params = params
        self.encoder = Encoder(params)
        self.decoder = Decoder(params)

    def encode(self, image_BCHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map pictures to latents.

        Args:
            image_BCHW: pictures in [-1, 1]; both sides are multiples of params.pixels_per_position.
            generator: None takes the encoder's mean; else a sample is drawn with it, bit for bit as Diffusers draws it.

        Returns:
            (z - shift) * scale, params.z_channels channels.
        """
        return self.to_latent(self.encoder(image_BCHW), generator)

    def decode(self, latent_BCHW: Tensor) -> Tensor:
        """Map latents, as encode returns them, to pictures. Values may leave [-1, 1] a little."""
        return self.decoder(self.from_latent(latent_BCHW))

    def to_latent(self, moments_BCHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map what the encoder returns to latents; position by position."""
        return (drawn(moments_BCHW, generator) - self.params.shift) * self.params.scale

    def from_latent(self, latent_BCHW: Tensor) -> Tensor:
        """Map latents to what the decoder takes; position by position."""
        return latent_BCHW / self.params.scale + self.params.shift
