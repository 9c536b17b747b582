"""The UNets of Stable Diffusion and SDXL: our names (Diffusers', but for fused projections), and CompVis', which single files have.

CompVis number all layers of the way down and of the way back one after another, so that table depends on the network's sizes.
"""

from collections.abc import Iterator, Mapping, Sequence

from models.checkpoints.keymap import ConvAsLinear, Fused, Same, Table
from models.unet.unet import UnetParams

DIFFUSERS_RESNET = {name: name for name in ("norm1", "conv1", "time_emb_proj", "norm2", "conv2", "conv_shortcut")}
COMPVIS_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
COMPVIS_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_BLOCK = ("norm1", "attn1.to_out.0", "norm2", "attn2.to_out.0", "norm3", "ff.net.0.proj", "ff.net.2")


def diffusers_names(*, linear_projection: bool) -> Table:
    """The table of Diffusers' UNet2DConditionModel.

    Args:
        linear_projection: whether the file holds the layers around the transformer blocks as matrices, or as convolutions.
    """
    sides = ("down_blocks.{i}", "mid_block", "up_blocks.{i}")
    samplers = ("down_blocks.{i}.downsamplers.0.conv", "up_blocks.{i}.upsamplers.0.conv")
    return (
        *(_same(name, name) for name in (*COMPVIS_ENDS, *samplers)),
        *(
            row
            for side in sides
            for row in (
                *_resnet(f"{side}.resnets.{{j}}", f"{side}.resnets.{{j}}", DIFFUSERS_RESNET),
                *_transformer(f"{side}.attentions.{{j}}", f"{side}.attentions.{{j}}", linear_projection),
            )
        ),
    )


def compvis_names(params: UnetParams, prefix: str, *, linear_projection: bool) -> Table:
    """The table of a single file whose names stand behind a prefix."""
    rows: list[Same | Fused] = [_same(native, prefix + foreign) for native, foreign in COMPVIS_ENDS.items()]
    for native, foreign in _places(params):
        is_resnet, is_sampler = ".resnets." in native, "samplers." in native
        if is_sampler:
            rows.append(_same(native, prefix + foreign))
        elif is_resnet:
            rows.extend(_resnet(native, prefix + foreign, COMPVIS_RESNET))
        else:
            rows.extend(_transformer(native, prefix + foreign, linear_projection))
    return tuple(rows)


def _places(params: UnetParams) -> Iterator[tuple[str, str]]:
    """Residual blocks, transformers and samplers: their names here, and CompVis'."""
    levels, layers = len(params.block_channels), params.layers_per_block
    for level in range(levels):
        for layer in range(layers):
            foreign = f"input_blocks.{1 + level * (layers + 1) + layer}"
            yield f"down_blocks.{level}.resnets.{layer}", f"{foreign}.0"
            yield f"down_blocks.{level}.attentions.{layer}", f"{foreign}.1"
        yield f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
    yield from (
        ("mid_block.resnets.0", "middle_block.0"),
        ("mid_block.attentions.0", "middle_block.1"),
        ("mid_block.resnets.1", "middle_block.2"),
    )
    for level, depth in enumerate(reversed(params.depths)):
        for layer in range(layers + 1):
            foreign = f"output_blocks.{level * (layers + 1) + layer}"
            yield f"up_blocks.{level}.resnets.{layer}", f"{foreign}.0"
            yield f"up_blocks.{level}.attentions.{layer}", f"{foreign}.1"
        last = f"output_blocks.{level * (layers + 1) + layers}"
        yield f"up_blocks.{level}.upsamplers.0.conv", f"{last}.{2 if depth else 1}.conv"


def _same(native: str, foreign: str) -> Same:
    return Same(f"{native}.{{w}}", f"{foreign}.{{w}}")


def _resnet(native: str, foreign: str, names: Mapping[str, str]) -> Table:
    return tuple(_same(f"{native}.{ours}", f"{foreign}.{theirs}") for ours, theirs in names.items())


def _transformer(native: str, foreign: str, linear_projection: bool) -> Table:
    """A spatial transformer; all files have the same names within it."""
    block, projection = "transformer_blocks.{k}", Same if linear_projection else ConvAsLinear
    return (
        _same(f"{native}.norm", f"{foreign}.norm"),
        *(projection(f"{native}.{name}.weight", f"{foreign}.{name}.weight") for name in ("proj_in", "proj_out")),
        *(Same(f"{native}.{name}.bias", f"{foreign}.{name}.bias") for name in ("proj_in", "proj_out")),
        *(_same(f"{native}.{block}.{name}", f"{foreign}.{block}.{name}") for name in _BLOCK),
        _fused(native, foreign, f"{block}.attn1", "qkv"),
        _fused(native, foreign, f"{block}.attn2", "kv"),
        Same(f"{native}.{block}.attn2.to_q.weight", f"{foreign}.{block}.attn2.to_q.weight"),
    )


def _fused(native: str, foreign: str, attention: str, parts: Sequence[str]) -> Fused:
    return Fused(
        f"{native}.{attention}.to_{''.join(parts)}.weight",
        tuple(f"{foreign}.{attention}.to_{part}.weight" for part in parts),
    )
