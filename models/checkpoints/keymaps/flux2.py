"""FLUX.2's transformer: our names (Black Forest Labs') and those of Diffusers' Flux2Transformer2DModel."""

from models.checkpoints.keymap import Fused, HalvesSwapped, Same, Table

_DOUBLE, _SINGLE = "transformer_blocks.{i}", "single_transformer_blocks.{i}"
_EMBED = "time_guidance_embed"


def _qkv(stream: str, q: str, k: str, v: str) -> Fused:
    names = tuple(f"{_DOUBLE}.attn.{name}.weight" for name in (q, k, v))
    return Fused(f"double_blocks.{{i}}.{stream}_attn.qkv.weight", names)


FLUX2: Table = (
    Same("img_in.weight", "x_embedder.weight"),
    Same("txt_in.weight", "context_embedder.weight"),
    Same("time_in.in_layer.weight", f"{_EMBED}.timestep_embedder.linear_1.weight"),
    Same("time_in.out_layer.weight", f"{_EMBED}.timestep_embedder.linear_2.weight"),
    Same("guidance_in.in_layer.weight", f"{_EMBED}.guidance_embedder.linear_1.weight"),
    Same("guidance_in.out_layer.weight", f"{_EMBED}.guidance_embedder.linear_2.weight"),
    Same("double_stream_modulation_img.lin.weight", "double_stream_modulation_img.linear.weight"),
    Same("double_stream_modulation_txt.lin.weight", "double_stream_modulation_txt.linear.weight"),
    Same("single_stream_modulation.lin.weight", "single_stream_modulation.linear.weight"),
    _qkv("img", "to_q", "to_k", "to_v"),
    _qkv("txt", "add_q_proj", "add_k_proj", "add_v_proj"),
    Same("double_blocks.{i}.img_attn.norm.query_norm.scale", f"{_DOUBLE}.attn.norm_q.weight"),
    Same("double_blocks.{i}.img_attn.norm.key_norm.scale", f"{_DOUBLE}.attn.norm_k.weight"),
    Same("double_blocks.{i}.txt_attn.norm.query_norm.scale", f"{_DOUBLE}.attn.norm_added_q.weight"),
    Same("double_blocks.{i}.txt_attn.norm.key_norm.scale", f"{_DOUBLE}.attn.norm_added_k.weight"),
    Same("double_blocks.{i}.img_attn.proj.weight", f"{_DOUBLE}.attn.to_out.0.weight"),
    Same("double_blocks.{i}.txt_attn.proj.weight", f"{_DOUBLE}.attn.to_add_out.weight"),
    Same("double_blocks.{i}.img_mlp.0.weight", f"{_DOUBLE}.ff.linear_in.weight"),
    Same("double_blocks.{i}.img_mlp.2.weight", f"{_DOUBLE}.ff.linear_out.weight"),
    Same("double_blocks.{i}.txt_mlp.0.weight", f"{_DOUBLE}.ff_context.linear_in.weight"),
    Same("double_blocks.{i}.txt_mlp.2.weight", f"{_DOUBLE}.ff_context.linear_out.weight"),
    Same("single_blocks.{i}.linear1.weight", f"{_SINGLE}.attn.to_qkv_mlp_proj.weight"),
    Same("single_blocks.{i}.linear2.weight", f"{_SINGLE}.attn.to_out.weight"),
    Same("single_blocks.{i}.norm.query_norm.scale", f"{_SINGLE}.attn.norm_q.weight"),
    Same("single_blocks.{i}.norm.key_norm.scale", f"{_SINGLE}.attn.norm_k.weight"),
    Same("final_layer.linear.weight", "proj_out.weight"),
    HalvesSwapped("final_layer.adaLN_modulation.1.weight", "norm_out.linear.weight"),
)
