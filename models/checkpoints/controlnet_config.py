"""Diffusers' config.json of a ControlNet: the sizes that it describes, and the file that describes them."""

from models.checkpoints.config import Config
from models.checkpoints.unet_config import sizes_in, unet_config
from models.control.controlnet import ControlNetParams
from models.errors import MalformedConfig

CONTROLNET_CLASS = "ControlNetModel"
UNET_ALONE = ("_class_name", "out_channels", "up_block_types", "sample_size")
"""Fields that only a whole UNet's file has."""


def controlnet_params(config: Config) -> ControlNetParams:
    """Read a ControlNet's sizes; what the file leaves out has the default of Diffusers' class.

    Raises:
        MalformedConfig: the file describes a ControlNet that is not served here.
    """
    config.require("_class_name", CONTROLNET_CLASS)
    # Networks that pool what they read are made for Diffusers' guess mode.
    config.require("global_pool_conditions", False)
    config.require("controlnet_conditioning_channel_order", "rgb", "bgr")
    default = ControlNetParams()
    params = ControlNetParams(
        unet=sizes_in(config),
        hint_channels=config.integers("conditioning_embedding_out_channels", default.hint_channels),
        picture_channels=config.integer("conditioning_channels", default.picture_channels),
        is_bgr=config.text("controlnet_conditioning_channel_order", "rgb") == "bgr",
    )
    if params.picture_channels != default.picture_channels:
        raise MalformedConfig(f"{config.path}: conditioning_channels is {params.picture_channels}, not 3")
    config.finish()
    return params


def controlnet_config(params: ControlNetParams) -> dict[str, object]:
    """The config.json of a ControlNet; controlnet_params reads it back."""
    sizes = {name: value for name, value in unet_config(params.unet).items() if name not in UNET_ALONE}
    return {
        "_class_name": CONTROLNET_CLASS,
        **sizes,
        "conditioning_channels": params.picture_channels,
        "conditioning_embedding_out_channels": list(params.hint_channels),
        "controlnet_conditioning_channel_order": "bgr" if params.is_bgr else "rgb",
    }
