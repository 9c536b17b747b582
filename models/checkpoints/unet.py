"""UNets in Diffusers' folder layout: config.json to parameters, weights strictly, and back."""

from pathlib import Path

import torch

from models.checkpoints.config import Config, write_object
from models.checkpoints.files import TensorFiles, write_tensors
from models.checkpoints.keymaps.unet import diffusers_names
from models.checkpoints.load import foreign_state, load_network
from models.checkpoints.unet_config import unet_config, unet_params
from models.unet.unet import Unet

STEM = "diffusion_pytorch_model"


def load_unet(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Unet:
    """Load the UNet in `folder` (config.json and safetensors of Diffusers' UNet2DConditionModel).

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    params = unet_params(Config(folder / "config.json"))
    files = TensorFiles.of_component(folder, STEM)
    table = diffusers_names(linear_projection=params.linear_projection)
    return load_network(lambda: Unet(params), files, table, device=torch.device(device), dtype=dtype)


def save_unet(network: Unet, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a UNet so that load_unet and Diffusers read it; dtype None keeps that of the parameters."""
    write_object(folder / "config.json", unet_config(network.params))
    table = diffusers_names(linear_projection=network.params.linear_projection)
    write_tensors(folder / f"{STEM}.safetensors", foreign_state(network, table, dtype))
