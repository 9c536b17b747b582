"""Diffusers' config.json of an autoencoder: which network it describes, with which sizes, and the file that describes one."""

from collections.abc import Callable

from models.checkpoints.config import Config
from models.vae.autoencoder_flux1 import AutoencoderFlux1Params
from models.vae.autoencoder_flux2 import AutoencoderFlux2Params
from models.vae.blocks import PATCH, AutoencoderParams

FLUX1_CLASS, FLUX2_CLASS = "AutoencoderKL", "AutoencoderKLFlux2"
BATCH_NORM_EPS, BATCH_NORM_MOMENTUM = 1e-4, 0.1
DEFAULT_SCALE = 0.18215
"""Of Diffusers' AutoencoderKL: Stable Diffusion's."""

DIFFUSERS_DEFAULT = AutoencoderFlux1Params(
    block_channels=(64,), layers_per_block=1, z_channels=4, quant_conv=True, post_quant_conv=True
)
"""What a field that an AutoencoderKL's file leaves out stands for."""


def autoencoder_params(config: Config) -> AutoencoderFlux1Params | AutoencoderFlux2Params:
    """Read an autoencoder's sizes; what the file leaves out has the default of Diffusers' class.

    Raises:
        MalformedConfig: the class is not known here, or a field means something that the network cannot do.
    """
    readers: dict[str, Callable[[Config], AutoencoderFlux1Params | AutoencoderFlux2Params]] = {
        FLUX1_CLASS: _flux1_params,
        FLUX2_CLASS: _flux2_params,
    }
    read = readers.get(config.text("_class_name"))
    if read is None:
        raise config.refusal("_class_name", " or ".join(readers))
    params = read(config)
    config.finish()
    return params


def _flux1_params(config: Config) -> AutoencoderFlux1Params:
    sizes = _sizes(config, DIFFUSERS_DEFAULT)
    for field in ("latents_mean", "latents_std"):
        config.require(field, None)
    config.ignore("sample_size", "force_upcast")
    return AutoencoderFlux1Params(
        *sizes, scale=config.number("scaling_factor", DEFAULT_SCALE), shift=config.number("shift_factor", 0.0)
    )


def _flux2_params(config: Config) -> AutoencoderFlux2Params:
    sizes = _sizes(config, AutoencoderFlux2Params())
    config.require("decoder_block_out_channels", None, list(sizes[1]))
    config.require("batch_norm_eps", BATCH_NORM_EPS)
    config.require("patch_size", [PATCH, PATCH])
    config.ignore("sample_size", "batch_norm_momentum", "force_upcast")
    return AutoencoderFlux2Params(*sizes)


def _sizes(config: Config, default: AutoencoderParams) -> tuple[int, tuple[int, ...], int, int, int, bool, bool]:
    """The fields of AutoencoderParams, in order."""
    channels = config.integers("block_out_channels", default.block_channels)
    in_channels = config.integer("in_channels", default.in_channels)
    num_groups = config.integer("norm_num_groups", default.norm_num_groups)
    if any(width % num_groups for width in channels):
        raise config.refusal("norm_num_groups", f"a divisor of all block_out_channels, {list(channels)}")
    config.require("out_channels", in_channels)
    config.require("down_block_types", ["DownEncoderBlock2D"] * len(channels))
    config.require("up_block_types", ["UpDecoderBlock2D"] * len(channels))
    config.require("act_fn", "silu")
    config.require("mid_block_add_attention", True)
    return (
        in_channels,
        channels,
        config.integer("layers_per_block", default.layers_per_block),
        config.integer("latent_channels", default.z_channels),
        num_groups,
        config.flag("use_quant_conv", default.quant_conv),
        config.flag("use_post_quant_conv", default.post_quant_conv),
    )


def autoencoder_config(params: AutoencoderFlux1Params | AutoencoderFlux2Params) -> dict[str, object]:
    """The config.json of an autoencoder; autoencoder_params reads it back."""
    num_levels = len(params.block_channels)
    sizes: dict[str, object] = {
        "in_channels": params.in_channels,
        "out_channels": params.in_channels,
        "down_block_types": ["DownEncoderBlock2D"] * num_levels,
        "up_block_types": ["UpDecoderBlock2D"] * num_levels,
        "block_out_channels": list(params.block_channels),
        "layers_per_block": params.layers_per_block,
        "act_fn": "silu",
        "latent_channels": params.z_channels,
        "norm_num_groups": params.norm_num_groups,
        "sample_size": 1024,
        "use_quant_conv": params.quant_conv,
        "use_post_quant_conv": params.post_quant_conv,
        "mid_block_add_attention": True,
    }
    if isinstance(params, AutoencoderFlux1Params):
        scaling: dict[str, object] = {"scaling_factor": params.scale, "shift_factor": params.shift}
        return {"_class_name": FLUX1_CLASS, **sizes, **scaling, "force_upcast": True}
    normalisation: dict[str, object] = {"batch_norm_eps": BATCH_NORM_EPS, "batch_norm_momentum": BATCH_NORM_MOMENTUM}
    return {"_class_name": FLUX2_CLASS, **sizes, **normalisation, "patch_size": [PATCH, PATCH]}
