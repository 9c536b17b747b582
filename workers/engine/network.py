"""Network: what the engine asks of a loaded network, and the one that models.pipeline runs.

A network is immutable: every call returns new tensors and changes none that it was given.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

from workers.engine.row import Denoising


class Start(NamedTuple):
    """Where a row begins: noise drawn from its own seed, and the sigmas that it will pass, falling to 0."""

    latents_LC: Tensor
    ids_L4: Tensor
    sigmas: Tensor


class Network(Protocol):
    """A network and its encoders, ready on the device."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str:
        """Changes when any weight does."""
        ...

    def num_passes(self, guidance: float) -> int:
        """Forwards a step takes at this guidance: 2 when the negative prompt counts, else 1."""
        ...

    def encode(self, text: str) -> Tensor:
        """A prompt's embedding, LC."""
        ...

    def start(self, width: int, height: int, num_steps: int, seed: int) -> Start: ...

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        """Each row's latents after its next step; a row's result does not depend on its company."""
        ...

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[uint8]:
        """RGB pixels, HWC, on the host."""
        ...
