"""ControlNets of Stable Diffusion 1.5 and SDXL: Diffusers' folder layout, or one file with Diffusers' or the authors' own names."""

from pathlib import Path

import torch

from models.checkpoints.config import Config, write_object
from models.checkpoints.controlnet_config import controlnet_config, controlnet_params
from models.checkpoints.detect import Detected, Naming, detect_tensors
from models.checkpoints.files import TensorFiles, write_tensors
from models.checkpoints.keymap import Table
from models.checkpoints.keymaps.controlnet import compvis_controlnet, diffusers_controlnet
from models.checkpoints.load import foreign_state, load_network
from models.control.controlnet import ControlNet, ControlNetParams
from models.errors import UnservedCheckpoint

STEM = "diffusion_pytorch_model"


def load_controlnet(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ControlNet:
    """Load the network in `folder` (config.json and safetensors of Diffusers' ControlNetModel).

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    params = controlnet_params(Config(folder / "config.json"))
    files = TensorFiles.of_component(folder, STEM)
    table = diffusers_controlnet(linear_projection=params.unet.linear_projection)
    return load_network(lambda: ControlNet(params), files, table, device=torch.device(device), dtype=dtype)


def save_controlnet(network: ControlNet, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a network so that load_controlnet and Diffusers read it; dtype None keeps that of the parameters."""
    params = network.control_params
    write_object(folder / "config.json", controlnet_config(params))
    table = diffusers_controlnet(linear_projection=params.unet.linear_projection)
    write_tensors(folder / f"{STEM}.safetensors", foreign_state(network, table, dtype))


def load_controlnet_file(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ControlNet:
    """Load a ControlNet from one safetensors file; heads and groups, which no shape tells, follow the family's rule.

    Args:
        path: the file. Networks beside the ControlNet, where its names stand behind a prefix, are left alone.
        device: where the network shall live.
        dtype: in which it shall run; eight-bit floats without scales are widened.

    Raises:
        UnservedCheckpoint: it is something else.
        CheckpointError: it is unknown, malformed, or does not fit.
    """
    files = TensorFiles.of_file(path)
    found = detect_tensors(files)
    params = found.control
    if params is None:
        raise UnservedCheckpoint(f"{path} holds a {found.kind}, not a ControlNet")
    return load_network(
        lambda: ControlNet(params),
        files,
        controlnet_names(found, params),
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: not name.startswith(found.prefix),
    )


def controlnet_names(found: Detected, params: ControlNetParams) -> Table:
    """The table of a file that holds a ControlNet."""
    if found.naming is Naming.NATIVE:
        return compvis_controlnet(params, found.prefix)
    return diffusers_controlnet(linear_projection=params.unet.linear_projection)
