"""The autoencoders that a latent model may come with; they share encode, decode, to_latent, from_latent and params."""

from models.vae.autoencoder_flux1 import AutoencoderFlux1
from models.vae.autoencoder_flux2 import AutoencoderFlux2

Autoencoder = AutoencoderFlux1 | AutoencoderFlux2
