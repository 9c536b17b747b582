"""Sizes of a ControlNet, read off the shapes of its tensors, under the authors' or Diffusers' names."""

from dataclasses import dataclass, replace

from models.checkpoints.shapes import Shapes
from models.checkpoints.unet_sizes import COMPVIS, DIFFUSERS, Telltales, unet_sizes
from models.control.controlnet import ControlNetParams


@dataclass(frozen=True)
class ControlTelltales:
    """Names of the tensors from which the sizes follow.

    Attributes:
        unet: those of the way down.
        hint: where the convolutions that read the picture begin; the first is the one at 0 or conv_in.
        first: the first of them.
        every: how far apart in numbers those lie that change the number of channels.
    """

    unet: Telltales
    hint: str
    first: str
    start: int
    every: int

    def fit(self, shapes: Shapes) -> bool:
        """Whether the file holds such a network."""
        return shapes.has(self.first, self.unet.mark)


NATIVE = ControlTelltales(
    unet=replace(COMPVIS, conv_out=None), hint="input_hint_block.", first="input_hint_block.0.weight", start=4, every=4
)
PUBLISHED = ControlTelltales(
    unet=replace(DIFFUSERS, conv_out=None),
    hint="controlnet_cond_embedding.blocks.",
    first="controlnet_cond_embedding.conv_in.weight",
    start=1,
    every=2,
)


def controlnet_sizes(shapes: Shapes, names: ControlTelltales) -> ControlNetParams:
    """Sizes of the ControlNet that the file holds.

    Raises:
        MissingKeys, ShapeMismatch: no such network has these tensors.
    """
    first, picture_channels, *_ = shapes.of(names.first, 4)
    return ControlNetParams(
        unet=unet_sizes(shapes, names.unet),
        hint_channels=(first, *_widening(shapes, names)),
        picture_channels=picture_channels,
    )


def _widening(shapes: Shapes, names: ControlTelltales) -> list[int]:
    """Channels after each halving of the resolution."""
    found: list[int] = []
    number = names.start
    while shapes.has(f"{names.hint}{number}.weight"):
        found.append(shapes.of(f"{names.hint}{number}.weight", 4)[0])
        number += names.every
    return found
