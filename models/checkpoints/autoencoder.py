"""Autoencoders from files and back: Diffusers' folders, and single files with Black Forest Labs' or Stable Diffusion's names."""

from collections.abc import Callable
from pathlib import Path

import torch

from models.checkpoints.autoencoder_config import autoencoder_config, autoencoder_params
from models.checkpoints.config import Config, write_object
from models.checkpoints.files import TensorFiles, write_tensors
from models.checkpoints.keymaps.autoencoder import (
    NEW_NAMES,
    OLD_CONVOLUTIONS,
    OLD_NAMES,
    STATISTICS,
    AttentionNames,
    diffusers_names,
    single_file_names,
)
from models.checkpoints.load import foreign_state, load_network
from models.errors import MalformedConfig, MissingKeys, ShapeMismatch
from models.vae.autoencoder import Autoencoder
from models.vae.autoencoder_flux1 import AutoencoderFlux1, AutoencoderFlux1Params
from models.vae.autoencoder_flux2 import AutoencoderFlux2, AutoencoderFlux2Params

STEM = "diffusion_pytorch_model"
PREFIXES = ("", "first_stage_model.", "vae.")
FLUX1 = AutoencoderFlux1Params()


def load_autoencoder(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Autoencoder:
    """Load the autoencoder in `folder`: config.json names Diffusers' AutoencoderKL or AutoencoderKLFlux2.

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    params = autoencoder_params(Config(folder / "config.json"))
    files = TensorFiles.of_component(folder, STEM)
    table = diffusers_names(len(params.block_channels), _attention_names(files))
    return load_network(_builder(params), files, table, device=torch.device(device), dtype=dtype)


def save_autoencoder(network: Autoencoder, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write an autoencoder so that load_autoencoder and Diffusers read it; dtype None keeps that of the parameters."""
    write_object(folder / "config.json", autoencoder_config(network.params))
    table = diffusers_names(len(network.params.block_channels))
    write_tensors(folder / f"{STEM}.safetensors", foreign_state(network, table, dtype))


def load_single_file(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    scaling: tuple[float, float] | None = None,
    norm_num_groups: int = FLUX1.norm_num_groups,
) -> Autoencoder:
    """Load `ae.safetensors` of FLUX.1 or FLUX.2, or the autoencoder inside a Stable Diffusion checkpoint.

    Sizes follow from the tensors' shapes; running statistics make it FLUX.2's.

    Args:
        path: a safetensors file with BFL's names, perhaps behind "first_stage_model." or "vae.".
        device: where the network shall live.
        dtype: in which it shall run.
        scaling: scale and shift of the latents, which no such file holds. None is FLUX.1's, for 16 channels only. FLUX.2
            needs none.
        norm_num_groups: the file does not hold it either.

    Raises:
        CheckpointError: the file is malformed or does not fit, or a scaling is needed.
    """
    files = TensorFiles.of_file(path)
    held = frozenset(files.names())
    prefix = next((prefix for prefix in PREFIXES if f"{prefix}encoder.conv_in.weight" in held), "")
    build = _builder(_inferred_params(files, prefix, scaling, norm_num_groups))
    with torch.device("meta"):
        native_names = build().state_dict().keys()
    table = single_file_names(native_names, prefix, held)
    return load_network(
        build,
        files,
        table,
        device=torch.device(device),
        dtype=dtype,
        is_unused=lambda name: not name.startswith(prefix),
    )


def _builder(params: AutoencoderFlux1Params | AutoencoderFlux2Params) -> Callable[[], Autoencoder]:
    if isinstance(params, AutoencoderFlux1Params):
        return lambda: AutoencoderFlux1(params)
    return lambda: AutoencoderFlux2(params)


def _attention_names(files: TensorFiles) -> AttentionNames:
    """The spelling of the middle attention; files from 2022 have the old one, in either shape."""
    old = "encoder.mid_block.attentions.0.query.weight"
    if old not in files.names():
        return NEW_NAMES
    return OLD_CONVOLUTIONS if len(files.shape(old)) == 4 else OLD_NAMES


def _inferred_params(
    files: TensorFiles, prefix: str, scaling: tuple[float, float] | None, norm_num_groups: int
) -> AutoencoderFlux1Params | AutoencoderFlux2Params:
    held = frozenset(files.names())
    num_levels = _count(held, f"{prefix}encoder.down.", ".block.0.conv1.weight")
    block_channels = tuple(
        _kernel(files, f"{prefix}encoder.down.{level}.block.0.conv1.weight")[0] for level in range(num_levels)
    )
    z_channels = _kernel(files, f"{prefix}decoder.conv_in.weight")[1]
    if not block_channels or any(width % norm_num_groups for width in block_channels):
        raise ShapeMismatch(files.where, f"no groups of {norm_num_groups} in", [f"channels {list(block_channels)}"])
    sizes = (
        _kernel(files, f"{prefix}encoder.conv_in.weight")[1],
        block_channels,
        _count(held, f"{prefix}encoder.down.0.block.", ".conv1.weight"),
        z_channels,
        norm_num_groups,
        bool({f"{prefix}quant_conv.weight", f"{prefix}encoder.quant_conv.weight"} & held),
        bool({f"{prefix}post_quant_conv.weight", f"{prefix}decoder.post_quant_conv.weight"} & held),
    )
    if prefix + STATISTICS[0] in held:
        return AutoencoderFlux2Params(*sizes)
    if scaling is None and z_channels != FLUX1.z_channels:
        raise MalformedConfig(f"{files.where}: the scaling of latents with {z_channels} channels must be given")
    scale, shift = (FLUX1.scale, FLUX1.shift) if scaling is None else scaling
    return AutoencoderFlux1Params(*sizes, scale=scale, shift=shift)


def _count(names: frozenset[str], start: str, end: str) -> int:
    return sum(
        name.startswith(start) and name.endswith(end) and name[len(start) : -len(end)].isdigit() for name in names
    )


def _kernel(files: TensorFiles, name: str) -> tuple[int, ...]:
    """Shape of a convolution's weight."""
    if name not in files.names():
        raise MissingKeys(files.where, "missing keys", [name])
    shape = files.shape(name)
    if len(shape) != 4:
        raise ShapeMismatch(files.where, "wrong shapes", [f"{name} is {list(shape)}, not a convolution's"])
    return shape
