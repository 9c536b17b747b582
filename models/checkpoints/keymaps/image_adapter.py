"""Image adapters and CLIP's vision encoder: our names, and those of the published files.

The files number a UNet's attentions in Diffusers' order, self-attentions and cross-attentions by turns: 1, 3, 5 and so on are those
that look at pictures.
"""

from collections.abc import Mapping

from models.checkpoints.keymap import Fused, Row, Same, Table
from models.checkpoints.keymaps.text import prefixed
from models.image_prompt.adapter import AdapterParams, ProjectionParams
from models.image_prompt.projection import LinearParams, PatchwiseParams
from models.image_prompt.resampler import ResamplerParams

IMAGE, ATTENTION = "image_proj.", "ip_adapter."
VISION_PREFIXES = ("vision_model.", "")
VISION_MARK = "embeddings.patch_embedding.weight"

_LINEAR: Table = prefixed("projection.", IMAGE, "proj.{w}", "norm.{w}")
_PATCHWISE: Table = (
    Same("projection.proj_in.{w}", f"{IMAGE}proj.0.{{w}}"),
    Same("projection.proj_out.{w}", f"{IMAGE}proj.2.{{w}}"),
    Same("projection.norm.{w}", f"{IMAGE}proj.3.{{w}}"),
)
_IN_A_LAYER = {
    "attention.norm_patches": "0.norm1",
    "attention.norm_queries": "0.norm2",
    "attention.to_q": "0.to_q",
    "attention.to_kv": "0.to_kv",
    "attention.to_out": "0.to_out",
    "norm": "1.0",
    "up": "1.1",
    "down": "1.3",
}
_RESAMPLER: Table = (
    *prefixed("projection.", IMAGE, "latents", "proj_in.{w}", "proj_out.{w}", "norm_out.{w}"),
    *(
        Same(f"projection.layers.{{i}}.{ours}.{{w}}", f"{IMAGE}layers.{{i}}.{published}.{{w}}")
        for ours, published in _IN_A_LAYER.items()
    ),
)
_PROJECTIONS: Mapping[type[ProjectionParams], Table] = {
    LinearParams: _LINEAR,
    PatchwiseParams: _PATCHWISE,
    ResamplerParams: _RESAMPLER,
}


def keys_values(place: int) -> tuple[str, str]:
    """Names of the keys and values of a cross-attention, counted from 0 in the order of UnetParams.cross_attention_channels."""
    return f"{ATTENTION}{2 * place + 1}.to_k_ip.weight", f"{ATTENTION}{2 * place + 1}.to_v_ip.weight"


def image_adapter(params: AdapterParams) -> Table:
    """The table of a published adapter."""
    attention: tuple[Row, ...] = tuple(
        Fused(f"to_kv.{place}.weight", keys_values(place)) for place in range(len(params.channels))
    )
    return (*_PROJECTIONS[type(params.projection)], *attention)


def clip_vision(prefix: str) -> Table:
    """CLIP's vision encoder; prefix begins all names in the file but the projection's."""
    attention = tuple(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out"))
    layers = (*attention, "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2")
    return (
        *prefixed(
            "model.",
            prefix,
            "embeddings.class_embedding",
            "embeddings.patch_embedding.weight",
            "embeddings.position_embedding.weight",
            "pre_layrnorm.{w}",
            *(f"encoder.layers.{{i}}.{name}.{{w}}" for name in layers),
            "post_layernorm.{w}",
        ),
        Same("visual_projection.weight", "visual_projection.weight"),
    )
