"""A worker's process: its device and its threads among the workers of its machine."""

import pytest

from app.core.config import WorkerSettings
from workers.process import device_name, threads_of
from workers.worker import worker_id


@pytest.mark.parametrize(
    ("device", "index", "num_gpus", "expected"),
    [
        ("auto", 0, 0, "cpu"),
        ("auto", 3, 0, "cpu"),
        ("auto", 0, 1, "cuda:0"),
        ("auto", 5, 8, "cuda:5"),
        ("auto", 5, 4, "cuda:1"),
        ("cpu", 1, 4, "cpu"),
        ("cuda:2", 0, 4, "cuda:2"),
    ],
)
def test_each_worker_of_a_machine_takes_a_gpu_of_its_own(device: str, index: int, num_gpus: int, expected: str) -> None:
    assert device_name(WorkerSettings(device=device, index=index), num_gpus) == expected


@pytest.mark.parametrize(
    ("threads", "num_beside", "expected"), [(None, 1, None), (None, 2, 4), (None, 3, 2), (None, 16, 1), (5, 2, 5)]
)
def test_the_workers_of_a_machine_share_its_cores(threads: int | None, num_beside: int, expected: int | None) -> None:
    assert threads_of(WorkerSettings(threads=threads, num_beside=num_beside), 8) == expected


def test_workers_that_share_a_name_are_told_apart_by_their_number() -> None:
    assert worker_id(WorkerSettings(id="a100")) == "a100"
    assert worker_id(WorkerSettings(id="a100", index=1, num_beside=2)) == "a100-1"
    assert worker_id(WorkerSettings()) != worker_id(WorkerSettings())
