"""SigLIP's vision encoder: our names and those of transformers' SiglipVisionModel."""

from models.checkpoints.keymap import Table
from models.checkpoints.keymaps.text import prefixed

PREFIXES = ("", "vision_model.")
MARK = "embeddings.patch_embedding.weight"


def siglip_vision(prefix: str) -> Table:
    """The encoder without its pooling head; prefix begins all names in the file."""
    attention = tuple(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out"))
    layers = (*attention, "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2")
    return prefixed(
        "model.",
        prefix,
        "embeddings.patch_embedding.{w}",
        "embeddings.position_embedding.weight",
        *(f"encoder.layers.{{i}}.{name}.{{w}}" for name in layers),
        "post_layernorm.{w}",
    )
