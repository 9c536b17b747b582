"""FLUX.2's autoencoder: our names (Black Forest Labs') and those of Diffusers' AutoencoderKLFlux2.

Diffusers counts the decoder's levels from the coarsest, we from the finest, so the table depends on their number.
"""

from models.checkpoints.keymap import LinearAsConv, Same, Table


def _resnet(native: str, foreign: str) -> Table:
    names = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "nin_shortcut": "conv_shortcut"}
    return tuple(Same(f"{native}.{ours}.{{w}}", f"{foreign}.{theirs}.{{w}}") for ours, theirs in names.items())


def _middle(side: str) -> Table:
    native, foreign = f"{side}.mid", f"{side}.mid_block"
    linear = {"q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
    attention = [(f"{native}.attn_1.{ours}", f"{foreign}.attentions.0.{theirs}") for ours, theirs in linear.items()]
    return (
        *_resnet(f"{native}.block_1", f"{foreign}.resnets.0"),
        *_resnet(f"{native}.block_2", f"{foreign}.resnets.1"),
        Same(f"{native}.attn_1.norm.{{w}}", f"{foreign}.attentions.0.group_norm.{{w}}"),
        *(LinearAsConv(f"{ours}.weight", f"{theirs}.weight") for ours, theirs in attention),
        *(Same(f"{ours}.bias", f"{theirs}.bias") for ours, theirs in attention),
    )


def _ends(side: str) -> Table:
    return (
        Same(f"{side}.conv_in.{{w}}", f"{side}.conv_in.{{w}}"),
        Same(f"{side}.norm_out.{{w}}", f"{side}.conv_norm_out.{{w}}"),
        Same(f"{side}.conv_out.{{w}}", f"{side}.conv_out.{{w}}"),
    )


def _up(level: int, num_levels: int) -> Table:
    native, foreign = f"decoder.up.{level}", f"decoder.up_blocks.{num_levels - 1 - level}"
    return (
        *_resnet(f"{native}.block.{{j}}", f"{foreign}.resnets.{{j}}"),
        Same(f"{native}.upsample.conv.{{w}}", f"{foreign}.upsamplers.0.conv.{{w}}"),
    )


def autoencoder_flux2(num_levels: int) -> Table:
    """The table of an autoencoder with so many levels of resolution."""
    return (
        *(row for side in ("encoder", "decoder") for row in (*_ends(side), *_middle(side))),
        *_resnet("encoder.down.{i}.block.{j}", "encoder.down_blocks.{i}.resnets.{j}"),
        Same("encoder.down.{i}.downsample.conv.{w}", "encoder.down_blocks.{i}.downsamplers.0.conv.{w}"),
        *(row for level in range(num_levels) for row in _up(level, num_levels)),
        Same("encoder.quant_conv.{w}", "quant_conv.{w}"),
        Same("decoder.post_quant_conv.{w}", "post_quant_conv.{w}"),
        *(Same(f"bn.{name}", f"bn.{name}") for name in ("running_mean", "running_var", "num_batches_tracked")),
    )
