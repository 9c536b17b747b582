"""Request and Row: what is asked of the engine, and everything that changes while it is made.

Weights, costs and caches are shared and never hold anything of one request; a Row is owned by one request and shares nothing
that anyone may write to.

Shape suffixes: L = latent tokens, C = channels per token.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from torch import Tensor

from models.pipeline.conditions import Conditions
from models.pipeline.request import DrawRequest

RowKey = tuple[str, int]
"""(generation id, attempt). The engine only compares and returns it."""


CONTROL_FORWARDS = 0.4
"""What a ControlNet costs, in forwards of the network beside it: that of SD 1.5 has 42 % of its parameters, that of SDXL 49 %, but
none of the wide last levels."""


class Shape(NamedTuple):
    """What decides the cost of a step: the same shape costs the same, whatever the prompt."""

    network: str
    width: int
    height: int
    num_passes: int
    """Forwards that a step takes: one for each branch of its guidance that acts."""
    reference_pixels: int = 0
    """Pixels of the pictures that are looked at in every step."""
    num_controls: int = 0
    """ControlNets beside every forward."""

    @property
    def work(self) -> int:
        """A size that grows with the cost, to guess at shapes that were never measured."""
        pixels = (self.width * self.height + self.reference_pixels) * max(self.num_passes, 1)
        return pixels + round(pixels * self.num_controls * CONTROL_FORWARDS)


@dataclass(frozen=True, slots=True)
class Request:
    """One image to make. Times are seconds of the engine's monotonic clock."""

    key: RowKey
    network: str
    draw: DrawRequest
    priority: int
    """Class of service; lower goes first."""
    arrived_at_s: float
    deadline_at_s: float
    expected_s: float
    """What the whole run was thought to take when it was submitted; used until steps of its shape have been measured."""
    beside: tuple[str, ...] = ()
    """Networks that it needs beside the one that draws: what reads its picture prompts, its ControlNets."""
    is_deterministic: bool = False
    """Run alone in every step, so that no neighbour can change a bit."""
    previews: bool = False
    """Show what it looks like on the way."""
    is_suspect: bool = False
    """An earlier attempt was lost or failed: run from the first step to the last while no other row has begun, so that what it may
    do to the process it does to itself alone."""

    @property
    def networks(self) -> tuple[str, ...]:
        """All that it needs."""
        return (self.network, *self.beside)


@dataclass(slots=True, eq=False)
class Denoising:
    """The tensors of a row that has begun. `step` steps of its conditions' num_steps are done."""

    latents_LC: Tensor
    conditions: Conditions
    step: int = 0
    before_LC: Tensor | None = None
    """Latents before the last step, kept only of rows that show what they look like."""


@dataclass(slots=True, eq=False)
class Row:
    """A request that the engine has admitted."""

    request: Request
    most: Shape
    """Of the step that takes most."""
    num_steps: int
    """Denoise steps that it takes; fewer than were asked for when it starts from a picture."""
    passes: tuple[int, ...] = ()
    """Forwards of each step; empty where every step takes `most`."""
    denoising: Denoising | None = field(default=None)
    """None until the row's first step."""
    shown_at_s: float = -inf
    """When it showed last what it looks like."""

    @property
    def num_done(self) -> int:
        """Denoise steps that are done."""
        return self.denoising.step if self.denoising else 0

    @property
    def steps_left(self) -> int:
        """Denoise steps still to run."""
        return self.num_steps - self.num_done

    @property
    def shape(self) -> Shape:
        """Of its next step, or of its last one when all are done."""
        if not self.passes:
            return self.most
        return self.most._replace(num_passes=self.passes[min(self.num_done, self.num_steps - 1)])

    @property
    def shapes_left(self) -> Mapping[Shape, int]:
        """How many steps of each shape are still to run."""
        if not self.passes:
            return {self.most: self.steps_left}
        return Counter(self.most._replace(num_passes=number) for number in self.passes[self.num_done :])
