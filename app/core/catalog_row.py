"""What the catalogue says of one public name, as values: nothing that serves a request asks for a variant's name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.core.control_rows import ControlFamily
from app.core.licences import Licence
from app.core.samplers import Trajectory
from app.core.spec import OutputFormat, Role

Body = Literal[
    "klein", "klein-dials", "flux2", "flux2-dials", "flex",
    "flux1", "flux1-pro", "flux1-dev", "flux1-schnell", "ultra",
    "kontext", "kontext-dials", "fill", "expand", "canny", "canny-sides", "depth", "depth-sides",
    "diffusion", "diffusion-fill",
]  # fmt: skip
"""Request schemas; app.api.bfl.schemas has one for each."""

Sizing = Literal["sides", "aspect_ratio", "input"]
"""How large a picture becomes when its sides are not given.

"sides": native, or as the picture that is changed or edited, inside the limits of the network that runs. "aspect_ratio": the
native number of pixels in the shape that is asked for, or that of the picture. "input": exactly as the picture, where the
public name's limits allow it.
"""


@dataclass(frozen=True)
class StepLimits:
    """Denoising steps: what an absent value means, and what is accepted."""

    default: int
    min: int
    max: int


@dataclass(frozen=True)
class GuidanceLimits:
    """Guidance scale: what an absent value means, and what is accepted."""

    default: float
    min: float
    max: float


@dataclass(frozen=True)
class SizeLimits:
    """Sides in pixels. One that is no whole multiple is rounded to the nearest, or refused where `rounds` is false."""

    native_width: int
    native_height: int
    min_side: int
    max_side: int
    max_pixels: int
    multiple: int
    rounds: bool = True

    def accepts(self, width: int, height: int) -> bool:
        """Whether both sides and their product are within the limits."""
        sides_fit = all(self.min_side <= side <= self.max_side for side in (width, height))
        are_multiples = self.rounds or width % self.multiple == height % self.multiple == 0
        return sides_fit and are_multiples and width * height <= self.max_pixels


@dataclass(frozen=True)
class Takes:
    """What a network reads beside a prompt.

    Attributes:
        pictures: how many of each role at most; a role that is missing is refused. A network that takes a "mask" draws around a
            picture too.
        needs: roles of which one must be there; empty for a network that draws from a prompt alone.
        negative_prompt: what makes it read one; None = it reads none.
        image_prompter: name of the network that reads "image_prompt" for it, where a request names no other.
        control_family: of the ControlNets, image adapters and learnt words that go with it; None = none does.
        clip_skip: most layers of its text encoders that may be left out, in networks that read emphasis and learnt words; None =
            it reads every prompt as it is.
        instead: what to send where a role is refused, in words for the caller.
        min_side: of a picture, in pixels.
        max_reference_ratio: of the longer side of a "reference" to the shorter.
    """

    pictures: Mapping[Role, int] = field(default_factory=dict[Role, int])
    needs: tuple[Role, ...] = ()
    negative_prompt: Literal["guidance", "true_cfg"] | None = None
    image_prompter: str | None = None
    control_family: ControlFamily | None = None
    clip_skip: int | None = None
    instead: Mapping[Role, str] = field(default_factory=dict[Role, str])
    min_side: int = 16
    max_reference_ratio: float = math.inf


@dataclass(frozen=True)
class CatalogRow:
    """A public name.

    Attributes:
        body: the request schema.
        network: the ModelSpec that runs; None: no public weights, served only through an alias.
        sizing: how large a picture becomes when its sides are not given.
        max_sequence_length: most tokens of a prompt that the text encoder reads.
        trajectory: how the network was trained, which says what samplers fit it.
    """

    name: str
    body: Body
    network: str | None
    size: SizeLimits
    steps: StepLimits
    guidance: GuidanceLimits
    licence: Licence
    takes: Takes
    sizing: Sizing = "sides"
    max_sequence_length: int = 512
    default_format: OutputFormat = "jpeg"
    trajectory: Trajectory = "flow"

    @property
    def native_width(self) -> int:
        return self.size.native_width

    @property
    def native_height(self) -> int:
        return self.size.native_height

    def accepts(self, width: int, height: int) -> bool:
        """Whether a picture of this size may be asked for."""
        return self.size.accepts(width, height)
