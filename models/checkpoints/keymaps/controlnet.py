"""ControlNets: our names (Diffusers', but for fused projections), and those of the authors' own files, which number all layers."""

from collections.abc import Iterator

from models.checkpoints.keymap import Same, Table
from models.checkpoints.keymaps.unet import compvis_names, diffusers_names
from models.control.controlnet import ControlNetParams

OWN = ("controlnet_cond_embedding.{name}", "controlnet_down_blocks.{name}", "controlnet_mid_block.{name}")


def diffusers_controlnet(*, linear_projection: bool) -> Table:
    """The table of Diffusers' ControlNetModel; linear_projection as of a UNet's."""
    return (*diffusers_names(linear_projection=linear_projection), *(Same(name, name) for name in OWN))


def compvis_controlnet(params: ControlNetParams, prefix: str) -> Table:
    """The table of an author's file whose names stand behind a prefix."""
    unet = compvis_names(params.unet, prefix, linear_projection=params.unet.linear_projection)
    own = tuple(Same(f"{native}.{{w}}", f"{prefix}{foreign}.{{w}}") for native, foreign in _places(params))
    return (*unet, *own)


def _places(params: ControlNetParams) -> Iterator[tuple[str, str]]:
    """Convolutions that a UNet does not have: their names here, and the authors'. Every other layer of theirs is an activation."""
    blocks = 2 * (len(params.hint_channels) - 1)
    yield "controlnet_cond_embedding.conv_in", "input_hint_block.0"
    for block in range(blocks):
        yield f"controlnet_cond_embedding.blocks.{block}", f"input_hint_block.{2 * (block + 1)}"
    yield "controlnet_cond_embedding.conv_out", f"input_hint_block.{2 * (blocks + 1)}"
    for level in range(params.unet.num_skips):
        yield f"controlnet_down_blocks.{level}", f"zero_convs.{level}.0"
    yield "controlnet_mid_block", "middle_block_out.0"
