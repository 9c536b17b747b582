"""JobError: why a generation could not be made, as the service records it, and the one table from other errors to it.

    JobError(code, message, is_retryable)
    ├── PermanentJobError    the input can never work: release the credits, do not retry
    └── TransientJobError    out of memory, a lost device, the store down: retry, then release

Messages are shown to customers: they name values and limits, never paths or addresses.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from models.errors import (
    CheckpointError,
    NonFiniteImage,
    SamplingError,
    UnsupportedInput,
    UnsupportedSampler,
    UnsupportedSize,
)


class JobError(Exception):
    """A generation that failed. `code` is stable and documented."""

    is_retryable: ClassVar[bool]

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class PermanentJobError(JobError):
    """Another attempt would fail the same way."""

    is_retryable = False


class TransientJobError(JobError):
    """Another attempt, here or elsewhere, may succeed."""

    is_retryable = True


class DeadlineExceeded(PermanentJobError):
    """The generation was not done in time."""

    def __init__(self) -> None:
        super().__init__("deadline_exceeded", "not finished before its deadline")


class InputLost(PermanentJobError):
    """A picture of the request is gone, or is not what was submitted."""

    def __init__(self, role: str) -> None:
        super().__init__("input_lost", f"the request's picture ({role}) is no longer stored; submit it again")


class InputUnreadable(PermanentJobError):
    """A picture of the request cannot be decoded."""

    def __init__(self, role: str) -> None:
        super().__init__("input_unreadable", f"the request's picture ({role}) cannot be decoded; it is damaged")


class StoreUnavailable(TransientJobError):
    """The result could not be stored."""

    def __init__(self) -> None:
        super().__init__("store_unavailable", "the image was made but could not be stored")


class SigningFailed(TransientJobError):
    """The result could not be given its content credentials."""

    def __init__(self) -> None:
        super().__init__("signing_failed", "the image was made but its content credentials could not be signed")


class Unjudged(TransientJobError):
    """The operator wants no picture shown that was not judged, and nobody judges."""

    def __init__(self) -> None:
        super().__init__("moderation_unavailable", "the image was made but could not be moderated; try again later")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of error becomes. Without a message the error's own is shown."""

    becomes: type[PermanentJobError] | type[TransientJobError]
    code: str
    message: str | None = None


RULES: dict[type[Exception], Rule] = {
    UnsupportedSize: Rule(PermanentJobError, "unsupported_size"),
    UnsupportedInput: Rule(PermanentJobError, "unsupported_input"),
    UnsupportedSampler: Rule(PermanentJobError, "unsupported_sampler"),
    NonFiniteImage: Rule(PermanentJobError, "non_finite_image", "the network produced no valid image for this request"),
    SamplingError: Rule(PermanentJobError, "unsupported_request"),
    CheckpointError: Rule(TransientJobError, "weights_unusable", "the network's weights cannot be used at the moment"),
    torch.OutOfMemoryError: Rule(TransientJobError, "out_of_memory", "the device ran out of memory"),
    MemoryError: Rule(TransientJobError, "out_of_memory", "the worker ran out of memory"),
    torch.AcceleratorError: Rule(TransientJobError, "device_lost", "the device failed"),
}
"""By class; an error is mapped by the nearest of its ancestors that is here."""

UNKNOWN = Rule(TransientJobError, "internal_error", "the generation failed for an internal reason")


def job_error(error: Exception) -> JobError:
    """What the service records for an error that a row raised."""
    if isinstance(error, JobError):
        return error
    rule = RULES[torch.OutOfMemoryError] if _is_host_out_of_memory(error) else _rule(error)
    return rule.becomes(rule.code, rule.message or str(error))


def is_device_lost(error: Exception) -> bool:
    """Whether the device is unusable until the process is started anew: CUDA refuses everything after such an error."""
    return isinstance(error, torch.AcceleratorError) and not isinstance(error, torch.OutOfMemoryError)


def _rule(error: Exception) -> Rule:
    return next((RULES[kind] for kind in type(error).__mro__ if kind in RULES), UNKNOWN)


def _is_host_out_of_memory(error: Exception) -> bool:
    """torch's CPU allocator raises a bare RuntimeError."""
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
