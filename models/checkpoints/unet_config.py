"""Diffusers' config.json of a UNet: the sizes that it describes, and the file that describes them."""

from collections.abc import Mapping

from models.checkpoints.config import Config
from models.errors import MalformedConfig
from models.unet.unet import AddedSizes, UnetParams

UNET_CLASS = "UNet2DConditionModel"
DOWN = {"CrossAttnDownBlock2D": True, "DownBlock2D": False}
UP = {"CrossAttnUpBlock2D": True, "UpBlock2D": False}
"""Whether a level of this class attends."""
MIDDLE = "UNetMidBlock2DCrossAttn"
DIFFUSERS_DEFAULT = UnetParams(context_channels=1280)
"""What a field that the file leaves out stands for."""

SERVED: Mapping[str, tuple[object, ...]] = {
    "act_fn": ("silu",),
    "attention_type": ("default",),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_only_cross_attention": (None, False),
    "mid_block_scale_factor": (1,),
    "mid_block_type": (MIDDLE,),
    "num_class_embeds": (None,),
    "only_cross_attention": (False,),
    "resnet_out_scale_factor": (1.0,),
    "resnet_skip_time_act": (False,),
    "resnet_time_scale_shift": ("default",),
    "reverse_transformer_layers_per_block": (None,),
    "time_cond_proj_dim": (None,),
    "time_embedding_act_fn": (None,),
    "time_embedding_dim": (None,),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
    "upcast_attention": (None, False),
}
"""Fields that mean another network when they hold anything else."""
WITHOUT_EFFECT = ("sample_size", "dropout", "class_embeddings_concat", "addition_embed_type_num_heads")


def unet_params(config: Config) -> UnetParams:
    """Read a UNet's sizes; what the file leaves out has the default of Diffusers' class.

    Raises:
        MalformedConfig: the file describes a UNet that is not served here.
    """
    config.require("_class_name", UNET_CLASS)
    params = sizes_in(config)
    config.finish()
    return params


def sizes_in(config: Config) -> UnetParams:
    """Read the fields that a UNet's file and a ControlNet's have in common, each with its default.

    Raises:
        MalformedConfig: the file describes a network that is not served here.
    """
    for field, allowed in SERVED.items():
        config.require(field, *allowed)
    config.ignore(*WITHOUT_EFFECT)
    default = DIFFUSERS_DEFAULT
    channels = config.integers("block_out_channels", default.block_channels)
    attends = _attends(config, len(channels))
    depths = config.per_level("transformer_layers_per_block", len(channels), 1)
    try:
        return UnetParams(
            in_channels=config.integer("in_channels", default.in_channels),
            out_channels=config.integer("out_channels", default.out_channels),
            block_channels=channels,
            depths=tuple(depth if is_attending else 0 for depth, is_attending in zip(depths, attends, strict=True)),
            middle_depth=depths[-1],
            heads=_heads(config, len(channels)),
            layers_per_block=config.integer("layers_per_block", default.layers_per_block),
            context_channels=config.integer("cross_attention_dim", default.context_channels),
            added=_added(config),
            norm_num_groups=config.integer("norm_num_groups", default.norm_num_groups),
            norm_eps=config.number("norm_eps", default.norm_eps),
            linear_projection=config.flag("use_linear_projection", default.linear_projection),
        )
    except ValueError as error:
        raise MalformedConfig(f"{config.path}: {error}") from error


def _attends(config: Config, levels: int) -> tuple[bool, ...]:
    """Which levels attend; the way back does as the way down."""
    down = (
        config.texts("down_block_types")
        if config.has("down_block_types")
        else ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    )
    if len(down) != levels or set(down) - set(DOWN):
        raise config.refusal("down_block_types", f"{levels} of {', '.join(DOWN)}")
    attends = tuple(DOWN[kind] for kind in down)
    names = {is_attending: kind for kind, is_attending in UP.items()}
    config.require("up_block_types", [names[is_attending] for is_attending in reversed(attends)])
    return attends


def _heads(config: Config, levels: int) -> tuple[int, ...]:
    """Heads of each level. Diffusers calls their number attention_head_dim, and has to read files that were written so."""
    if config.has("num_attention_heads"):
        config.ignore("attention_head_dim")
        return config.per_level("num_attention_heads", levels)
    config.ignore("num_attention_heads")
    return config.per_level("attention_head_dim", levels, DIFFUSERS_DEFAULT.heads[0])


def _added(config: Config) -> AddedSizes | None:
    config.require("addition_embed_type", None, "text_time")
    if not config.has("addition_embed_type"):
        config.ignore("addition_time_embed_dim", "projection_class_embeddings_input_dim")
        return None
    features = config.integer("addition_time_embed_dim")
    channels = config.integer("projection_class_embeddings_input_dim")
    context = config.integer("cross_attention_dim", DIFFUSERS_DEFAULT.context_channels)
    return added_sizes(channels, features, context)


def added_sizes(channels: int, number_features: int, context_channels: int) -> AddedSizes:
    """What a network reads beside time and text.

    SDXL reads six numbers, its refiner five. The refiner has one text encoder, so its pooled prompt is as wide as its tokens; SDXL
    has two, and is told the pooled prompt of one.

    Args:
        channels: of all that is read together.
        number_features: sinusoidal features of each number.
        context_channels: of a text token.
    """
    is_refiner = channels == context_channels + 5 * number_features
    num_numbers = 5 if is_refiner else 6
    return AddedSizes(channels - num_numbers * number_features, num_numbers, number_features)


def unet_config(params: UnetParams) -> dict[str, object]:
    """The config.json of a UNet; unet_params reads it back."""
    down, up = ({attends: kind for kind, attends in names.items()} for names in (DOWN, UP))
    added = params.added
    sizes: dict[str, object] = (
        {}
        if added is None
        else {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": added.number_features,
            "projection_class_embeddings_input_dim": added.channels,
        }
    )
    depths = [*(depth or 1 for depth in params.depths[:-1]), params.middle_depth]
    return {
        "_class_name": UNET_CLASS,
        "in_channels": params.in_channels,
        "out_channels": params.out_channels,
        "block_out_channels": list(params.block_channels),
        "down_block_types": [down[depth > 0] for depth in params.depths],
        "up_block_types": [up[depth > 0] for depth in reversed(params.depths)],
        "transformer_layers_per_block": depths,
        "attention_head_dim": list(params.heads),
        "layers_per_block": params.layers_per_block,
        "cross_attention_dim": params.context_channels,
        "norm_num_groups": params.norm_num_groups,
        "norm_eps": params.norm_eps,
        "use_linear_projection": params.linear_projection,
        "sample_size": 128,
        **sizes,
    }
