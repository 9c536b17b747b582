"""The autoencoders: our names (Black Forest Labs'), those of Diffusers, and those of single files that hold more than them.

Diffusers counts the decoder's levels from the coarsest, we from the finest, so the table depends on their number.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from models.checkpoints.keymap import LinearAsConv, Same, Table

STATISTICS = ("bn.running_mean", "bn.running_var", "bn.num_batches_tracked")


@dataclass(frozen=True)
class AttentionNames:
    """How Diffusers' file writes the middle attention.

    Attributes:
        q, k, v, proj_out: names of the four matrices.
        are_convolutions: whether they are stored as 1 x 1 convolutions.
    """

    q: str = "to_q"
    k: str = "to_k"
    v: str = "to_v"
    proj_out: str = "to_out.0"
    are_convolutions: bool = False


NEW_NAMES = AttentionNames()
OLD_NAMES = AttentionNames("query", "key", "value", "proj_attn")
OLD_CONVOLUTIONS = AttentionNames("query", "key", "value", "proj_attn", are_convolutions=True)


def _resnet(native: str, foreign: str) -> Table:
    names = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "nin_shortcut": "conv_shortcut"}
    return tuple(Same(f"{native}.{ours}.{{w}}", f"{foreign}.{theirs}.{{w}}") for ours, theirs in names.items())


def _middle(side: str, names: AttentionNames) -> Table:
    native, foreign = f"{side}.mid", f"{side}.mid_block"
    linear = {"q": names.q, "k": names.k, "v": names.v, "proj_out": names.proj_out}
    attention = [(f"{native}.attn_1.{ours}", f"{foreign}.attentions.0.{theirs}") for ours, theirs in linear.items()]
    matrix = Same if names.are_convolutions else LinearAsConv
    return (
        *_resnet(f"{native}.block_1", f"{foreign}.resnets.0"),
        *_resnet(f"{native}.block_2", f"{foreign}.resnets.1"),
        Same(f"{native}.attn_1.norm.{{w}}", f"{foreign}.attentions.0.group_norm.{{w}}"),
        *(matrix(f"{ours}.weight", f"{theirs}.weight") for ours, theirs in attention),
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


def diffusers_names(num_levels: int, attention: AttentionNames = NEW_NAMES) -> Table:
    """The table of Diffusers' AutoencoderKL or AutoencoderKLFlux2 with so many levels of resolution."""
    return (
        *(row for side in ("encoder", "decoder") for row in (*_ends(side), *_middle(side, attention))),
        *_resnet("encoder.down.{i}.block.{j}", "encoder.down_blocks.{i}.resnets.{j}"),
        Same("encoder.down.{i}.downsample.conv.{w}", "encoder.down_blocks.{i}.downsamplers.0.conv.{w}"),
        *(row for level in range(num_levels) for row in _up(level, num_levels)),
        Same("encoder.quant_conv.{w}", "quant_conv.{w}"),
        Same("decoder.post_quant_conv.{w}", "post_quant_conv.{w}"),
        *(Same(name, name) for name in STATISTICS),
    )


def single_file_names(native_names: Iterable[str], prefix: str, held: Collection[str]) -> Table:
    """The table of a file with our names behind a prefix.

    Args:
        native_names: the network's parameters and buffers.
        prefix: what the file puts before each name.
        held: the file's names. FLUX.2's file has its quant convolutions inside encoder and decoder, as we have; Stable
            Diffusion's has them outside.
    """
    outside = {
        f"{side}.{conv}.{kind}": f"{conv}.{kind}"
        for side, conv in (("encoder", "quant_conv"), ("decoder", "post_quant_conv"))
        for kind in ("weight", "bias")
        if f"{prefix}{conv}.weight" in held
    }
    return tuple(Same(name, prefix + outside.get(name, name)) for name in native_names)
