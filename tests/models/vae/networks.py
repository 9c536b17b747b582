"""Small autoencoders with weights that are a function of their names: the stored numbers were made with them."""

from typing import Any

import torch
from torch import Tensor

from models.checkpoints.keymap import applied
from models.checkpoints.keymaps.autoencoder import diffusers_names
from models.vae.autoencoder import Autoencoder
from models.vae.autoencoder_flux1 import AutoencoderFlux1, AutoencoderFlux1Params
from models.vae.autoencoder_flux2 import AutoencoderFlux2, AutoencoderFlux2Params
from tests.models.golden import golden_weight, hashed

STORED_SIZES: dict[str, Any] = {"block_channels": (32, 64), "layers_per_block": 2, "z_channels": 4}
TINY_SIZES: dict[str, Any] = {
    "block_channels": (8, 16, 24),
    "layers_per_block": 1,
    "z_channels": 4,
    "norm_num_groups": 4,
}


def vae_weight(name: str, shape: torch.Size) -> Tensor:
    """A golden weight; running statistics are those of a shifted and scaled latent."""
    if name.endswith("running_mean"):
        return 0.3 * hashed(name, shape)
    if name.endswith("running_var"):
        return 1.0 + hashed(name, shape)
    return golden_weight(name, shape)


def filled(params: AutoencoderFlux1Params | AutoencoderFlux2Params) -> Autoencoder:
    """A network whose every parameter has its golden value."""
    is_flux1 = isinstance(params, AutoencoderFlux1Params)
    network = AutoencoderFlux1(params) if is_flux1 else AutoencoderFlux2(params)
    state = network.state_dict()
    network.load_state_dict({name: vae_weight(name, value.shape).to(value.dtype) for name, value in state.items()})
    return network.eval().requires_grad_(False)


def filled_by_diffusers_names(params: AutoencoderFlux1Params) -> AutoencoderFlux1:
    """The same, with values that depend on the names that Diffusers gives the parameters."""
    network = AutoencoderFlux1(params)
    entries = applied(diffusers_names(len(params.block_channels)), state := network.state_dict())
    values = {entry.native: golden_weight(entry.foreign[0], state[entry.native].shape).float() for entry in entries}
    network.load_state_dict(values)
    return network.eval().requires_grad_(False)


def random_network(params: AutoencoderFlux1Params | AutoencoderFlux2Params, seed: int) -> Autoencoder:
    """A network with matrices that keep the variance of their input, drawn from a seed."""
    generator = torch.Generator().manual_seed(seed)
    network = filled(params)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            fan_in = parameter[0].numel()
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return network
