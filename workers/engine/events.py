"""What the engine says about its rows, as it happens. Whoever drives it passes one function that takes these."""

from dataclasses import dataclass

from numpy import uint8
from numpy.typing import NDArray

from workers.engine.row import RowKey


@dataclass(frozen=True, slots=True)
class Began:
    """The row is about to run for the first time."""

    key: RowKey


@dataclass(frozen=True, slots=True)
class Stepped:
    """The row has done `step` of `num_steps` denoise steps."""

    key: RowKey
    step: int
    num_steps: int


@dataclass(frozen=True, slots=True)
class Previewed:
    """What the row looks like after `step` of `num_steps` denoise steps: a few pixels for each of its latents."""

    key: RowKey
    step: int
    num_steps: int
    image_HWC: NDArray[uint8]


@dataclass(frozen=True, slots=True)
class PreviewFailed:
    """The row cannot show what it looks like, and does not try again; it goes on."""

    key: RowKey
    error: Exception


@dataclass(frozen=True, slots=True)
class Finished:
    """The row is done and has left the engine."""

    key: RowKey
    image_HWC: NDArray[uint8]


@dataclass(frozen=True, slots=True)
class Failed:
    """The row could not be run and has left the engine; its neighbours go on."""

    key: RowKey
    error: Exception


@dataclass(frozen=True, slots=True)
class Expired:
    """The row's deadline has passed and it has left the engine."""

    key: RowKey


EngineEvent = Began | Stepped | Previewed | PreviewFailed | Finished | Failed | Expired
