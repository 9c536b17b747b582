"""Two workers and a Redis that rings them, on SQLite: polls are a minute apart, so whatever is drawn sooner was rung for."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import RowMapping

from tests.e2e.audit import assert_all_delivered_and_paid_once
from tests.e2e.running_service import RunningService, until
from tests.fixtures.redis_server import RedisServer, serve_redis

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]

LONG: dict[str, Any] = {"width": 384, "height": 384, "steps": 50}
SHORT: dict[str, Any] = {"width": 64, "height": 64, "steps": 2}
BEFORE_THE_NEXT_POLL_S = 45.0


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with serve_redis() as server:
        yield server


@pytest.fixture(scope="module")
def service(new_service: Callable[..., RunningService], redis: RedisServer) -> RunningService:
    service = new_service(
        "--workers",
        "2",
        DARKROOM_REDIS__URL=redis.url,
        DARKROOM_QUEUE__POLL_S="60",
        DARKROOM_WORKER__DRAIN_S="0",
    )
    service.wait_until_ready()
    until("both are ready", lambda: len(service.query("SELECT 1 FROM worker WHERE ready_at IS NOT NULL")) == 2)
    return service


def begun(service: RunningService, task: dict[str, Any]) -> RowMapping:
    """The task's generation and its worker's pid, as soon as it is being drawn."""
    sql = (
        "SELECT generation.id AS id, attempt, worker.pid AS pid FROM generation JOIN worker ON worker.id = worker_id "
        "WHERE task_id = :id AND generation.state = 'running' AND first_step_at IS NOT NULL"
    )
    return until("it is being drawn", lambda: service.query(sql, id=task["id"]))[0]


def test_tickets_ring_the_workers(service: RunningService) -> None:
    for _ in range(3):
        service.result(service.submit(**SHORT), within_s=BEFORE_THE_NEXT_POLL_S)


def test_a_drained_worker_hands_its_row_to_the_other_and_no_failure_is_counted(service: RunningService) -> None:
    task = service.submit(**LONG)
    row = begun(service, task)

    os.kill(row["pid"], signal.SIGTERM)

    service.result(task, within_s=120)
    (after,) = service.query("SELECT attempt, failures FROM generation WHERE id = :id", id=row["id"])
    assert after["attempt"] > row["attempt"]
    assert after["failures"] == 0


def test_work_that_was_submitted_while_redis_was_away_is_rung_for_when_it_is_back(
    service: RunningService, redis: RedisServer
) -> None:
    redis.kill()
    tasks = [service.submit(**SHORT) for _ in range(3)]
    redis.start()
    for task in tasks:
        service.result(task, within_s=BEFORE_THE_NEXT_POLL_S)


def test_everything_was_charged_once(service: RunningService) -> None:
    assert_all_delivered_and_paid_once(service)
