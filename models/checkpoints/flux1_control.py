"""ControlNets of FLUX.1 in Diffusers' folder layout: config.json to parameters, weights strictly."""

from pathlib import Path

import torch

from models.checkpoints.config import Config
from models.checkpoints.files import TensorFiles
from models.checkpoints.flux1 import STEM, sizes_in
from models.checkpoints.keymap import Same, Table
from models.checkpoints.keymaps.flux1 import flux1
from models.checkpoints.load import load_network
from models.control.flux1 import Flux1ControlNet, Flux1ControlParams

FLUX1_CONTROLNET_CLASS = "FluxControlNetModel"
OWN = ("controlnet_x_embedder", "controlnet_blocks", "controlnet_single_blocks", "controlnet_mode_embedder")


def load_flux1_control(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Flux1ControlNet:
    """Load the network in `folder` (config.json and safetensors of Diffusers' FluxControlNetModel).

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    params = flux1_control_params(Config(folder / "config.json"))
    files, sizes = TensorFiles.of_component(folder, STEM), params.transformer
    table: Table = (
        *flux1(sizes.hidden_size, sizes.mlp_size),
        *(Same(f"{name}.{{name}}", f"{name}.{{name}}") for name in OWN),
    )
    return load_network(lambda: Flux1ControlNet(params), files, table, device=torch.device(device), dtype=dtype)


def flux1_control_params(config: Config) -> Flux1ControlParams:
    """Read a ControlNet's sizes; what the file leaves out has the default of Diffusers' class.

    Raises:
        MalformedConfig: the file describes a ControlNet that is not served here.
    """
    config.require("_class_name", FLUX1_CONTROLNET_CLASS)
    # XLabs' form, which reads pixels.
    config.require("conditioning_embedding_channels", None)
    num_modes = config.integer("num_mode") if config.has("num_mode") else None
    config.ignore("num_mode")
    params = Flux1ControlParams(sizes_in(config), num_modes)
    config.finish()
    return params
