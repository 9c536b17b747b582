"""CLIP text encoders inside single files of Stable Diffusion and SDXL, and where their tensors go in transformers' networks.

CompVis' files hold transformers' own names behind a prefix. Stability's hold OpenCLIP's, with queries, keys and values in one matrix and
the projection turned round.
"""

import re
from collections.abc import Mapping

from torch import Tensor

TRANSFORMERS_PREFIXES = ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer.")
OPENCLIP_PREFIXES = ("conditioner.embedders.1.model.", "conditioner.embedders.0.model.")
"""The second one is the refiner's, which has one encoder."""
OPENCLIP_MARK = "transformer.resblocks.0.attn.in_proj_weight"
UNUSED = ("logit_scale", "text_model.embeddings.position_ids", "embeddings.position_ids")

_ENDS = {
    "positional_embedding": "embeddings.position_embedding.weight",
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_LAYER = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)\.(weight|bias)")
_IN_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_FUSED = re.compile(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)")


def openclip_targets(name: str) -> tuple[str, ...]:
    """Names that parts of an OpenCLIP tensor have in transformers' CLIPTextModelWithProjection: rows one below the other; empty for
    one that nothing there stands for."""
    if name == "text_projection":
        return ("text_projection.weight",)
    if name in _ENDS:
        return (f"text_model.{_ENDS[name]}",)
    if (fused := _FUSED.fullmatch(name)) is not None:
        layer, kind = fused.groups()
        return tuple(f"text_model.encoder.layers.{layer}.self_attn.{part}_proj.{kind}" for part in "qkv")
    found = _LAYER.fullmatch(name)
    if found is None or found[2] not in _IN_LAYER:
        return ()
    return (f"text_model.encoder.layers.{found[1]}.{_IN_LAYER[found[2]]}.{found[3]}",)


def openclip_parts(name: str, tensor: Tensor) -> Mapping[str, Tensor]:
    """The tensor as transformers' network has it, by name there."""
    targets = openclip_targets(name)
    turned = tensor.T if name == "text_projection" else tensor
    return dict(zip(targets, turned.chunk(len(targets)), strict=True)) if targets else {}
