"""FLUX.1's transformer: our names (Black Forest Labs') and those of Diffusers' FluxTransformer2DModel."""

from models.checkpoints.keymap import Fused, HalvesSwapped, Same, Table

_DOUBLE, _SINGLE = "transformer_blocks.{i}", "single_transformer_blocks.{i}"
_EMBED = "time_text_embed"


def _embedder(native: str, foreign: str) -> Table:
    return (
        Same(f"{native}.in_layer.{{w}}", f"{_EMBED}.{foreign}.linear_1.{{w}}"),
        Same(f"{native}.out_layer.{{w}}", f"{_EMBED}.{foreign}.linear_2.{{w}}"),
    )


def _stream(native: str, context: str, qkv: tuple[str, str, str], norms: tuple[str, str], out: str) -> Table:
    """One stream of the double blocks; `context` is what Diffusers appends to the names of the text's."""
    block = f"double_blocks.{{i}}.{native}"
    return (
        Same(f"{block}_mod.lin.{{w}}", f"{_DOUBLE}.norm1{context}.linear.{{w}}"),
        Fused(f"{block}_attn.qkv.{{w}}", tuple(f"{_DOUBLE}.attn.{name}.{{w}}" for name in qkv)),
        Same(f"{block}_attn.norm.query_norm.scale", f"{_DOUBLE}.attn.{norms[0]}.weight"),
        Same(f"{block}_attn.norm.key_norm.scale", f"{_DOUBLE}.attn.{norms[1]}.weight"),
        Same(f"{block}_attn.proj.{{w}}", f"{_DOUBLE}.attn.{out}.{{w}}"),
        Same(f"{block}_mlp.0.{{w}}", f"{_DOUBLE}.ff{context}.net.0.proj.{{w}}"),
        Same(f"{block}_mlp.2.{{w}}", f"{_DOUBLE}.ff{context}.net.2.{{w}}"),
    )


def flux1(hidden_size: int, mlp_size: int) -> Table:
    """The table of a network of these sizes: in single blocks Diffusers keeps apart what is one matrix here."""
    parts = (hidden_size, hidden_size, hidden_size, mlp_size)
    return (
        Same("img_in.{w}", "x_embedder.{w}"),
        Same("txt_in.{w}", "context_embedder.{w}"),
        *_embedder("time_in", "timestep_embedder"),
        *_embedder("vector_in", "text_embedder"),
        *_embedder("guidance_in", "guidance_embedder"),
        *_stream("img", "", ("to_q", "to_k", "to_v"), ("norm_q", "norm_k"), "to_out.0"),
        *_stream(
            "txt",
            "_context",
            ("add_q_proj", "add_k_proj", "add_v_proj"),
            ("norm_added_q", "norm_added_k"),
            "to_add_out",
        ),
        Same("single_blocks.{i}.modulation.lin.{w}", f"{_SINGLE}.norm.linear.{{w}}"),
        Fused(
            "single_blocks.{i}.linear1.{w}",
            (*(f"{_SINGLE}.attn.to_{name}.{{w}}" for name in "qkv"), f"{_SINGLE}.proj_mlp.{{w}}"),
            sizes=parts,
        ),
        Same("single_blocks.{i}.linear2.{w}", f"{_SINGLE}.proj_out.{{w}}"),
        Same("single_blocks.{i}.norm.query_norm.scale", f"{_SINGLE}.attn.norm_q.weight"),
        Same("single_blocks.{i}.norm.key_norm.scale", f"{_SINGLE}.attn.norm_k.weight"),
        Same("final_layer.linear.{w}", "proj_out.{w}"),
        HalvesSwapped("final_layer.adaLN_modulation.1.{w}", "norm_out.linear.{w}"),
    )
