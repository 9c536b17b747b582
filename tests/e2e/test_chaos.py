"""Minutes of clients, kills and freezes, embedded: every job ends, is delivered and is charged once.

test_chaos_redis.py does the same to PostgreSQL and Redis.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.audit import assert_all_delivered_and_paid_once, unfinished
from tests.e2e.running_service import RunningService, process_table, until
from tests.e2e.storm import PatientStorm

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(1500),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

NUM_JOBS = 300
NUM_KILLS = 15
LEASE_S = 3.0
ONE_DEATH_IN_S = 17.0
"""`up` gives up after five deaths in a minute, and on a busy machine it may hear of one seconds later."""


@pytest.fixture
def service(new_service: Callable[..., RunningService], database_url: str) -> Iterator[RunningService]:
    """A service with short leases on a database of its own, ended before that goes."""
    service = new_service(
        DARKROOM_DATABASE__URL=database_url,
        DARKROOM_QUEUE__LEASE_S=str(LEASE_S),
        DARKROOM_QUEUE__RENEW_S="0.75",
        DARKROOM_QUEUE__MAX_FAILURES="100",
    )
    service.wait_until_ready()
    yield service
    service.stop()


def test_nothing_is_lost_or_paid_twice_in_minutes_of_chaos(service: RunningService) -> None:
    dice = random.Random(2)
    num_kills = 0
    with PatientStorm(service, num_clients=12, pause_s=0.3, width=64, height=64, steps=4) as storm:
        while num_kills < NUM_KILLS or len(storm.answered) < NUM_JOBS:
            round_of_chaos(service, dice)
            num_kills += 1

    until("everything committed is drawn", lambda: not unfinished(service), within_s=300)
    assert_all_delivered_and_paid_once(service)
    assert_few_were_drawn_twice(service, num_kills)


def round_of_chaos(service: RunningService, dice: random.Random) -> None:
    """Kills the worker while it draws; now and then freezes it beyond its lease first, or kills the gateway too."""
    not_before = time.monotonic() + ONE_DEATH_IN_S
    until("a fresh worker draws", lambda: is_drawing(service), within_s=300)
    if dice.random() < 0.4:
        worker = service.pid_of("worker")
        os.kill(worker, signal.SIGSTOP)
        time.sleep(LEASE_S * 1.5)
        os.kill(worker, signal.SIGCONT)
    time.sleep(max(dice.uniform(0.0, 2.0), not_before - time.monotonic()))
    if dice.random() < 0.5:
        os.kill(service.pid_of("gateway"), signal.SIGKILL)
    worker = service.pid_of("worker")
    os.kill(worker, signal.SIGKILL)
    until("the worker is gone", lambda: worker not in process_table())


def is_drawing(service: RunningService) -> bool:
    """Whether the worker that lives now has begun something."""
    sql = (
        "SELECT 1 FROM generation JOIN worker ON worker.id = generation.worker_id "
        "WHERE worker.pid = :pid AND generation.first_step_at IS NOT NULL"
    )
    return bool(service.query(sql, pid=service.pid_of("worker")))


def assert_few_were_drawn_twice(service: RunningService, num_kills: int) -> None:
    """A kill costs at most the rows that the worker held, which is its window."""
    (total,) = service.query("SELECT count(*) AS jobs, sum(attempt) AS attempts FROM generation")
    assert total["attempts"] - total["jobs"] <= 2 * 8 * num_kills
