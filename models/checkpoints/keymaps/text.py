"""Text encoders: our names and those of transformers' networks, whose heads and unread layers are left out.

Prefixes differ between versions of transformers; prefix_in finds the one that a file uses.
"""

from collections.abc import Sequence

from models.checkpoints.keymap import Row, Same, Table

CLIP_PREFIXES = ("", "text_model.")
CLIP_MARK = "embeddings.token_embedding.weight"
MISTRAL3_PREFIXES = ("language_model.model.", "model.language_model.", "model.")
MISTRAL3_MARK = "embed_tokens.weight"
T5_EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight")
"""One matrix under two names; files hold either or both."""

_NORMS = ("input_layernorm", "post_attention_layernorm")
_PROJECTIONS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
_FEED_FORWARD = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def prefix_in(names: Sequence[str], prefixes: Sequence[str], mark: str) -> str:
    """The prefix under which a file holds the tensor `mark`; the first one when it holds none, so that loading names what lacks."""
    return next((prefix for prefix in prefixes if f"{prefix}{mark}" in names), prefixes[0])


def prefixed(native: str, foreign: str, *names: str) -> tuple[Row, ...]:
    """Rows for parameters that differ in their prefix alone."""
    return tuple(Same(native + name, foreign + name) for name in names)


def causal(prefix: str, *more_norms: str) -> Table:
    """A causal language model whose names in the file begin with prefix."""
    layers = tuple(f"layers.{{i}}.{name}.{{w}}" for name in (*_NORMS, *more_norms, *_PROJECTIONS, *_FEED_FORWARD))
    return prefixed("model.", prefix, "embed_tokens.weight", *layers, "norm.weight")


QWEN3: Table = causal("model.", "self_attn.q_norm", "self_attn.k_norm")


def clip_text(prefix: str) -> Table:
    """CLIP's text encoder, with or without its projection."""
    attention = tuple(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out"))
    layers = (*attention, "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2")
    embeddings = ("embeddings.token_embedding.weight", "embeddings.position_embedding.weight")
    return (
        *prefixed(
            "model.",
            prefix,
            *embeddings,
            *(f"encoder.layers.{{i}}.{name}.{{w}}" for name in layers),
            "final_layer_norm.{w}",
        ),
        Same("text_projection.weight", "text_projection.weight"),
    )


def t5_encoder(embedding: str) -> Table:
    """T5's encoder, gated or not, with its embedding under either of T5_EMBEDDINGS."""
    attention = tuple(
        f"layer.0.SelfAttention.{name}.weight" for name in ("q", "k", "v", "o", "relative_attention_bias")
    )
    feed_forward = tuple(f"layer.1.DenseReluDense.{name}.weight" for name in ("wi", "wi_0", "wi_1", "wo"))
    layers = (*attention, *feed_forward, "layer.0.layer_norm.weight", "layer.1.layer_norm.weight")
    return (
        Same("encoder.embed_tokens.weight", embedding),
        *prefixed("encoder.", "encoder.", *(f"block.{{i}}.{name}" for name in layers), "final_layer_norm.weight"),
    )
