"""Errors that a row can raise become JobErrors with the right code. That none of models/ is left out, tests/contracts proves."""

import pytest
import torch

from models.errors import CheckpointError, NonFiniteImage, UnsupportedSize
from workers.errors import StoreUnavailable, is_device_lost, job_error


@pytest.mark.parametrize(
    ("error", "code", "is_retryable"),
    [
        (UnsupportedSize("width 63 is under 64"), "unsupported_size", False),
        (NonFiniteImage("NaN at step 3"), "non_finite_image", False),
        (CheckpointError("/srv/weights/x: damaged"), "weights_unusable", True),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory", True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out_of_memory", True),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "device_lost", True),
        (MemoryError(), "out_of_memory", True),
        (KeyError("/etc/secret"), "internal_error", True),
        (StoreUnavailable(), "store_unavailable", True),
    ],
)
def test_an_error_has_a_code_and_says_whether_to_retry(error: Exception, code: str, is_retryable: bool) -> None:
    mapped = job_error(error)
    assert (mapped.code, mapped.is_retryable) == (code, is_retryable)


def test_a_refusal_keeps_its_words_and_an_internal_error_shows_none() -> None:
    assert job_error(UnsupportedSize("width 63 is under 64")).message == "width 63 is under 64"
    assert "secret" not in job_error(KeyError("/etc/secret")).message
    assert "/srv" not in job_error(CheckpointError("/srv/weights/x: damaged")).message


def test_running_out_of_memory_is_no_loss_of_the_device() -> None:
    assert is_device_lost(torch.AcceleratorError("CUDA error: unspecified launch failure"))
    assert not is_device_lost(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_device_lost(RuntimeError("shape mismatch"))
