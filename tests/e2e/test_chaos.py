"""Minutes of clients, kills and freezes, on both databases: every job ends, is delivered and is charged once."""

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.audit import assert_all_delivered_and_paid_once, unfinished
from tests.e2e.running_service import RunningService, until
from tests.e2e.storm import Storm

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

LEASE_S = 3.0
NUM_ROUNDS = 16
ROUND_S = 16.0
"""`up` gives up after five deaths in a minute, so one of each kind comes every 16 s."""


def test_nothing_is_lost_or_paid_twice_in_minutes_of_chaos(
    new_service: Callable[..., RunningService], database_url: str
) -> None:
    service = new_service(
        DARKROOM_DATABASE__URL=database_url,
        DARKROOM_QUEUE__LEASE_S=str(LEASE_S),
        DARKROOM_QUEUE__RENEW_S="0.75",
        DARKROOM_QUEUE__MAX_FAILURES="100",
    )
    service.wait_until_ready()
    dice = random.Random(2)
    with Storm(service, num_clients=2, pause_s=1.0, width=128, height=128, steps=10) as storm:
        for _ in range(NUM_ROUNDS):
            round_of_chaos(service, dice)

    until("everything committed is drawn", lambda: not unfinished(service), within_s=300)
    assert len(storm.answered) >= 300
    assert_all_delivered_and_paid_once(service)
    service.stop()  # before its database goes


def round_of_chaos(service: RunningService, dice: random.Random) -> None:
    """Kills the worker at a random moment, and now and then freezes it beyond its lease or kills the gateway too."""
    ends_at = time.monotonic() + ROUND_S
    time.sleep(dice.uniform(0.0, ROUND_S / 2))
    if dice.random() < 0.4:
        worker = service.pid_of("worker")
        os.kill(worker, signal.SIGSTOP)
        time.sleep(LEASE_S * 1.5)
        os.kill(worker, signal.SIGCONT)
    if dice.random() < 0.5:
        os.kill(service.pid_of("gateway"), signal.SIGKILL)
    os.kill(service.pid_of("worker"), signal.SIGKILL)
    time.sleep(max(0.0, ends_at - time.monotonic()))
