"""What can go wrong in models/ because of a file or a request. Mistakes of a programmer are assertions, not these.

ModelError
├── CheckpointError: MissingComponent, MalformedConfig, MalformedFile, MissingKeys, UnknownKeys, ShapeMismatch, DtypeMismatch,
│                    UnsafeFormat, UnknownCheckpoint, UnservedCheckpoint
└── SamplingError: UnsupportedSize, UnsupportedInput, UnsupportedSampler, NonFiniteImage      (also a ValueError)
"""

from collections.abc import Sequence
from pathlib import Path


class ModelError(Exception):
    """Anything that models/ refuses or cannot do."""


class CheckpointError(ModelError):
    """A folder or file of weights that cannot be loaded."""


class MissingComponent(CheckpointError):
    """A folder lacks a file or subfolder that a pipeline needs."""


class MalformedConfig(CheckpointError):
    """A configuration file that is no JSON, lacks a field, or names something unknown."""


class MalformedFile(CheckpointError):
    """A weight file or its index that is damaged or contradicts itself."""


class UnsafeFormat(CheckpointError):
    """A weight file in a format that can run code when it is read."""


class _Keys(CheckpointError):
    """A checkpoint whose parameters do not fit the network; names the first few of them, cut where they are absurdly long."""

    def __init__(self, where: Path | str, what: str, keys: Sequence[str], shown: int = 5) -> None:
        self.keys = tuple(keys)
        more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
        super().__init__(f"{where}: {what}: {', '.join(key[:200] for key in keys[:shown])}{more}")


class MissingKeys(_Keys):
    """Parameters of the network that the file does not hold."""


class UnknownKeys(_Keys):
    """Parameters in the file that the network does not have."""


class ShapeMismatch(_Keys):
    """Parameters whose shape in the file is not the network's."""


class DtypeMismatch(_Keys):
    """Parameters that the file holds as numbers of a kind that the network does not compute with."""


class UnknownCheckpoint(_Keys):
    """A file that is none of the networks and adapters known here; names the first few of its keys."""


class UnservedCheckpoint(CheckpointError):
    """A file that is recognised, and cannot be used for what was asked, or not at all yet."""


class SamplingError(ModelError, ValueError):
    """A request that the network or sampler cannot serve."""


class UnsupportedSize(SamplingError):
    """A width or height outside what the network can make."""


class UnsupportedInput(SamplingError):
    """A picture, mask or strength that the network does not take, or lacks one that it needs."""


class UnsupportedSampler(SamplingError):
    """A scheduler configuration that no sampler here implements."""


class NonFiniteImage(SamplingError):
    """The network produced NaN or infinity; no picture can be made of it."""
