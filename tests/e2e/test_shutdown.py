"""However `up` ends, it leaves no process behind. The ordinary end, by SIGTERM, closes test_generate.py."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.e2e.running_service import RunningService, until

pytestmark = pytest.mark.timeout(240)
NewService = Callable[..., RunningService]


def started(new_service: NewService) -> RunningService:
    """Both children exist; they need not be ready, which is the harder moment to end them."""
    service = new_service()
    service.pid_of("gateway")
    service.pid_of("worker")
    return service


def test_kill_9_of_up_leaves_no_process(new_service: NewService) -> None:
    service = started(new_service)
    service.process.kill()
    service.process.wait()
    until("all are gone", lambda: not service.remaining(), within_s=20)


def test_a_second_request_does_not_wait(new_service: NewService) -> None:
    service = started(new_service)
    os.kill(service.pid_of("worker"), signal.SIGSTOP)
    service.process.send_signal(signal.SIGINT)
    until("it is draining", lambda: "ask again to end at once" in service.errors())
    service.process.send_signal(signal.SIGINT)
    service.process.wait(timeout=10)
    assert service.remaining() == []


@pytest.mark.prove
def test_after_five_deaths_up_gives_up_and_says_why(new_service: NewService) -> None:
    service = started(new_service)
    killed: set[int] = set()
    for _ in range(5):
        pid = until("a fresh worker", lambda: next(iter({service.pid_of("worker")} - killed), None))
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    assert service.process.wait(timeout=50) == 1
    assert "the worker died 5 times in 60 s" in service.errors()
    assert "Traceback" not in service.errors()
    assert service.remaining() == []
