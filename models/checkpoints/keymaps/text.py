"""Text encoders: our names and those of transformers' causal language models, whose head and last layers are left out."""

from models.checkpoints.keymap import Same, Table

_LAYER = "model.layers.{i}"
_NORMS = ("input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm")
_PROJECTIONS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
_FEED_FORWARD = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")

QWEN3: Table = (
    Same("model.embed_tokens.weight", "model.embed_tokens.weight"),
    *(Same(f"{_LAYER}.{name}.{{w}}", f"{_LAYER}.{name}.{{w}}") for name in (*_NORMS, *_PROJECTIONS, *_FEED_FORWARD)),
    Same("model.norm.weight", "model.norm.weight"),
)
