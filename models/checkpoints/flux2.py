"""FLUX.2's transformer in Diffusers' folder layout: config.json to parameters, weights strictly, and back."""

from pathlib import Path

import torch

from models.checkpoints.config import Config, write_object
from models.checkpoints.files import TensorFiles, write_tensors
from models.checkpoints.keymaps.flux2 import FLUX2
from models.checkpoints.load import foreign_state, load_network
from models.flow.flux2 import Flux2, Flux2Params
from models.layers.modulation import NORM_EPS
from models.layers.timestep import NUM_FEATURES

STEM = "diffusion_pytorch_model"
TRANSFORMER_CLASS = "Flux2Transformer2DModel"


def load_transformer(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Flux2:
    """Load the transformer in `folder` (config.json and safetensors of Diffusers' Flux2Transformer2DModel).

    Raises:
        CheckpointError: a file is missing, malformed, or does not fit.
    """
    params = transformer_params(Config(folder / "config.json"))
    files = TensorFiles.of_component(folder, STEM)
    return load_network(lambda: Flux2(params), files, FLUX2, device=torch.device(device), dtype=dtype)


def save_transformer(network: Flux2, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a transformer so that load_transformer and Diffusers read it; dtype None keeps that of the parameters."""
    write_object(folder / "config.json", transformer_config(network.params))
    write_tensors(folder / f"{STEM}.safetensors", foreign_state(network, FLUX2, dtype))


def transformer_params(config: Config) -> Flux2Params:
    """Read the transformer's sizes; what the file leaves out has Diffusers' default, which is FLUX.2 [dev]'s."""
    config.require("_class_name", TRANSFORMER_CLASS)
    default = Flux2Params()
    in_channels = config.integer("in_channels", default.in_channels)
    config.require("patch_size", 1)
    config.require("out_channels", None, in_channels)
    config.require("timestep_guidance_channels", NUM_FEATURES)
    config.require("eps", NORM_EPS)
    num_heads = config.integer("num_attention_heads", default.num_heads)
    head_dim = config.integer("attention_head_dim", default.head_dim)
    axes_dim = config.integers("axes_dims_rope", default.axes_dim)
    if sum(axes_dim) != head_dim or len(axes_dim) != len(default.axes_dim):
        raise config.refusal("axes_dims_rope", f"four numbers that sum to attention_head_dim, {head_dim}")
    params = Flux2Params(
        in_channels=in_channels,
        context_in_dim=config.integer("joint_attention_dim", default.context_in_dim),
        hidden_size=num_heads * head_dim,
        num_heads=num_heads,
        depth=config.integer("num_layers", default.depth),
        depth_single_blocks=config.integer("num_single_layers", default.depth_single_blocks),
        axes_dim=axes_dim,
        theta=config.integer("rope_theta", default.theta),
        mlp_ratio=config.number("mlp_ratio", default.mlp_ratio),
        guidance_embed=config.flag("guidance_embeds", default.guidance_embed),
    )
    config.finish()
    return params


def transformer_config(params: Flux2Params) -> dict[str, object]:
    """The config.json of a transformer; transformer_params reads it back."""
    return {
        "_class_name": TRANSFORMER_CLASS,
        "patch_size": 1,
        "in_channels": params.in_channels,
        "out_channels": None,
        "num_layers": params.depth,
        "num_single_layers": params.depth_single_blocks,
        "attention_head_dim": params.head_dim,
        "num_attention_heads": params.num_heads,
        "joint_attention_dim": params.context_in_dim,
        "timestep_guidance_channels": NUM_FEATURES,
        "mlp_ratio": params.mlp_ratio,
        "axes_dims_rope": list(params.axes_dim),
        "rope_theta": params.theta,
        "eps": NORM_EPS,
        "guidance_embeds": params.guidance_embed,
    }
