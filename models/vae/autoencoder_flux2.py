"""FLUX.2's autoencoder: pictures to patchified, normalised latents and back.

Parameters carry Black Forest Labs' names (github.com/black-forest-labs/flux2, src/flux2/autoencoder.py): quant_conv sits inside
the encoder, post_quant_conv inside the decoder, and `bn` holds running statistics only. Reading files belongs to models.checkpoints.

Shape suffixes: B = pictures, C = channels, H, W = rows and columns.
Pictures are in [-1, 1]; a latent has one position for every patch of 2 x 2 encoder outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.vae.blocks import PATCH, AutoencoderParams, Decoder, Encoder
from models.vae.gaussian import drawn


@dataclass(frozen=True)
class AutoencoderFlux2Params(AutoencoderParams):
    """Sizes of the network. The defaults are those of the published FLUX.2 autoencoder."""

    z_channels: int = 32
    quant_conv: bool = True
    post_quant_conv: bool = True


def patchify(latent_BCHW: Tensor) -> Tensor:
    """Fold 2 x 2 neighbours into channels, ordered channel, row, column: B C 2H 2W -> B 4C H W."""
    return functional.pixel_unshuffle(latent_BCHW, PATCH)


def unpatchify(latent_BCHW: Tensor) -> Tensor:
    """Undo patchify: B 4C H W -> B C 2H 2W."""
    return functional.pixel_shuffle(latent_BCHW, PATCH)


class AutoencoderFlux2(nn.Module):
    """The autoencoder of FLUX.2 (BFL `AutoEncoder`).

    Convolutions run in the memory format of their weights: channels-last in a new network, which trains faster, and contiguous
    in one that models.checkpoints has loaded, because only so are bfloat16 pictures equal to Diffusers' bit for bit.
    """

    def __init__(self, params: AutoencoderFlux2Params) -> None:
        super().__init__()
        self.params = params
        self.encoder = Encoder(params)
        self.decoder = Decoder(params)
        self.bn = nn.BatchNorm2d(params.latent_channels, eps=1e-4, momentum=0.1, affine=False)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (missing from torch's stubs)

    def encode(self, image_BCHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map pictures to normalised latents.

        Args:
            image_BCHW: pictures in [-1, 1]; both sides are multiples of params.pixels_per_position.
            generator: None takes the encoder's mean, as FLUX.2 does everywhere; else a sample is drawn with it.

        Returns:
            The mean or sample, patchified and normalised by the running statistics:
            params.latent_channels channels, each of about zero mean and unit variance on the training data.
        """
        return self.to_latent(self.encoder(image_BCHW), generator)

    def decode(self, latent_BCHW: Tensor) -> Tensor:
        """Map normalised latents, as encode returns them, to pictures. Values may leave [-1, 1] a little."""
        return self.decoder(self.from_latent(latent_BCHW))

    def to_latent(self, moments_BCHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map what the encoder returns to latents; patch by patch."""
        return self.normalise(patchify(drawn(moments_BCHW, generator)))

    def from_latent(self, latent_BCHW: Tensor) -> Tensor:
        """Map latents to what the decoder takes; patch by patch."""
        return unpatchify(self.denormalise(latent_BCHW))

    def encode_mean(self, image_BCHW: Tensor) -> Tensor:
        """Return the encoder's mean, z_channels at twice a latent's resolution; training works on these."""
        return drawn(self.encoder(image_BCHW))

    def decode_mean(self, z_BCHW: Tensor) -> Tensor:
        """Map encoder means (z_channels) to pictures; training works on these."""
        return self.decoder(z_BCHW)

    def normalise(self, latent_BCHW: Tensor) -> Tensor:
        """Subtract the running mean and divide by the running deviation, channel by channel, in the latents' dtype."""
        mean_C11, std_C11 = self._statistics(latent_BCHW.dtype)
        return (latent_BCHW - mean_C11) / std_C11

    def denormalise(self, latent_BCHW: Tensor) -> Tensor:
        """Undo normalise."""
        mean_C11, std_C11 = self._statistics(latent_BCHW.dtype)
        return latent_BCHW * std_C11 + mean_C11

    def _statistics(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        mean_C, var_C = self.bn.running_mean, self.bn.running_var
        if mean_C is None or var_C is None:
            raise RuntimeError("the batch norm keeps no running statistics")
        std_C = (var_C + self.bn.eps).sqrt()
        return mean_C.to(dtype)[:, None, None], std_C.to(dtype)[:, None, None]
