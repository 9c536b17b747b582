"""FLUX.1's transformer in Diffusers' folder layout: config.json to parameters, weights strictly, and back."""

from pathlib import Path

import torch

from models.checkpoints.config import Config, write_object
from models.checkpoints.files import TensorFiles, write_tensors
from models.checkpoints.keymap import Table
from models.checkpoints.keymaps.flux1 import flux1
from models.checkpoints.load import foreign_state, load_network
from models.errors import UnservedCheckpoint
from models.flow.flux1 import Flux1, Flux1Params

STEM = "diffusion_pytorch_model"
TRANSFORMER_CLASS = "FluxTransformer2DModel"


def load_transformer(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Flux1:
    """Load the transformer in `folder` (config.json and safetensors of Diffusers' FluxTransformer2DModel).

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    params = transformer_params(Config(folder / "config.json"))
    files = TensorFiles.of_component(folder, STEM)
    return load_network(lambda: Flux1(params), files, _table(params), device=torch.device(device), dtype=dtype)


def save_transformer(network: Flux1, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a transformer so that load_transformer and Diffusers read it; dtype None keeps that of the parameters."""
    write_object(folder / "config.json", transformer_config(network.params))
    write_tensors(folder / f"{STEM}.safetensors", foreign_state(network, _table(network.params), dtype))


def transformer_params(config: Config) -> Flux1Params:
    """Read the transformer's sizes; what the file leaves out has Diffusers' default, which is that of FLUX.1 [schnell]."""
    config.require("_class_name", TRANSFORMER_CLASS)
    params = sizes_in(config)
    config.finish()
    return params


def sizes_in(config: Config) -> Flux1Params:
    """Read the fields that a transformer's file and a ControlNet's have in common, each with its default."""
    default = Flux1Params()
    in_channels = config.integer("in_channels", default.in_channels)
    config.require("patch_size", 1)
    num_heads = config.integer("num_attention_heads", default.num_heads)
    head_dim = config.integer("attention_head_dim", default.head_dim)
    axes_dim = config.integers("axes_dims_rope", default.axes_dim)
    if sum(axes_dim) != head_dim or len(axes_dim) != len(default.axes_dim):
        raise config.refusal("axes_dims_rope", f"three numbers that sum to attention_head_dim, {head_dim}")
    return Flux1Params(
        in_channels=in_channels,
        out_channels=config.integer("out_channels", in_channels),
        vec_in_dim=config.integer("pooled_projection_dim", default.vec_in_dim),
        context_in_dim=config.integer("joint_attention_dim", default.context_in_dim),
        hidden_size=num_heads * head_dim,
        num_heads=num_heads,
        depth=config.integer("num_layers", default.depth),
        depth_single_blocks=config.integer("num_single_layers", default.depth_single_blocks),
        axes_dim=axes_dim,
        guidance_embed=config.flag("guidance_embeds", False),
    )


def transformer_config(params: Flux1Params) -> dict[str, object]:
    """The config.json of a transformer; transformer_params reads it back.

    Raises:
        UnservedCheckpoint: a size for which Diffusers' configuration has no field is not the published one.
    """
    fixed = Flux1Params()
    if (params.mlp_ratio, params.theta) != (fixed.mlp_ratio, fixed.theta):
        raise UnservedCheckpoint(
            f"{TRANSFORMER_CLASS} has mlp_ratio {fixed.mlp_ratio} and theta {fixed.theta}, "
            f"not {params.mlp_ratio} and {params.theta}"
        )
    return {
        "_class_name": TRANSFORMER_CLASS,
        "patch_size": 1,
        "in_channels": params.in_channels,
        "out_channels": params.out_channels,
        "num_layers": params.depth,
        "num_single_layers": params.depth_single_blocks,
        "attention_head_dim": params.head_dim,
        "num_attention_heads": params.num_heads,
        "joint_attention_dim": params.context_in_dim,
        "pooled_projection_dim": params.vec_in_dim,
        "guidance_embeds": params.guidance_embed,
        "axes_dims_rope": list(params.axes_dim),
    }


def _table(params: Flux1Params) -> Table:
    return flux1(params.hidden_size, params.mlp_size)
