"""Transformers and UNets in one file outside Diffusers' layout, as their authors publish them; sizes follow from the shapes."""

from dataclasses import replace
from pathlib import Path

import torch

from models.checkpoints.detect import Detected, Naming, detect_tensors
from models.checkpoints.files import TensorFiles
from models.checkpoints.keymap import Table
from models.checkpoints.keymaps.flux1 import flux1
from models.checkpoints.keymaps.flux2 import FLUX2
from models.checkpoints.keymaps.native import native
from models.checkpoints.keymaps.unet import compvis_names, diffusers_names
from models.checkpoints.load import load_network
from models.errors import UnservedCheckpoint
from models.flow.flux1 import Flux1, Flux1Params
from models.flow.flux2 import Flux2, Flux2Params
from models.unet.unet import Unet, UnetParams


def load_single_file(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    axes_dim: tuple[int, ...] | None = None,
    theta: int | None = None,
) -> Flux1 | Flux2:
    """Load a transformer of FLUX.1 or FLUX.2 from one safetensors file with Black Forest Labs' or Diffusers' names.

    Args:
        path: the file. Its own name does not matter. Networks beside the transformer, where its names stand behind a prefix, are
            left alone.
        device: where the network shall live.
        dtype: in which it shall run; eight-bit floats without scales are widened.
        axes_dim: channels of a head that encode each position axis, which no shape tells. None is the family's rule.
        theta: base of the rotary frequencies. None is the family's.

    Raises:
        UnservedCheckpoint: it is something else.
        CheckpointError: it is unknown, malformed, or does not fit.
    """
    files = TensorFiles.of_file(path)
    found = detect_tensors(files)
    params = found.params
    if params is None:
        raise UnservedCheckpoint(f"{path} holds a {found.kind}, not a transformer")
    params = replace(params, axes_dim=axes_dim or params.axes_dim, theta=theta or params.theta)
    return load_network(
        lambda: _built(params),
        files,
        _table(found, params),
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: not name.startswith(found.prefix),
    )


def _built(params: Flux1Params | Flux2Params) -> Flux1 | Flux2:
    return Flux1(params) if isinstance(params, Flux1Params) else Flux2(params)


def _table(found: Detected, params: Flux1Params | Flux2Params) -> Table:
    if found.naming is Naming.NATIVE:
        return native(found.prefix)
    return flux1(params.hidden_size, params.mlp_size) if isinstance(params, Flux1Params) else FLUX2


def load_unet_file(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    heads: tuple[int, ...] | None = None,
    norm_num_groups: int | None = None,
) -> Unet:
    """Load a UNet of Stable Diffusion or SDXL from one safetensors file with CompVis' or Diffusers' names.

    Args:
        path: the file. Autoencoder and text encoders beside the UNet are left alone.
        device: where the network shall live.
        dtype: in which it shall run; eight-bit floats without scales are widened.
        heads: attention heads of each level, which no shape tells. None is the family's rule.
        norm_num_groups: groups of every group norm, which no shape tells either. None is 32.

    Raises:
        UnservedCheckpoint: it is something else.
        CheckpointError: it is unknown, malformed, or does not fit.
    """
    files = TensorFiles.of_file(path)
    found = detect_tensors(files)
    if found.unet is None:
        raise UnservedCheckpoint(f"{path} holds a {found.kind}, not a UNet")
    params = replace(
        found.unet, heads=heads or found.unet.heads, norm_num_groups=norm_num_groups or found.unet.norm_num_groups
    )
    return load_network(
        lambda: Unet(params),
        files,
        unet_names(found, params),
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: not name.startswith(found.prefix),
    )


def unet_names(found: Detected, params: UnetParams) -> Table:
    """The table of a file that holds a UNet."""
    if found.naming is Naming.NATIVE:
        return compvis_names(params, found.prefix, linear_projection=params.linear_projection)
    return diffusers_names(linear_projection=params.linear_projection)
