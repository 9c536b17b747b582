"""Minutes of clients, kills, freezes and wipes on two workers, PostgreSQL and Redis: every job ends, is delivered and is charged
once, and no more is drawn twice than had begun when something died."""

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.audit import assert_all_delivered_and_paid_once, unfinished
from tests.e2e.faults import Accounts, account_for, freeze_while_drawing, until_ready
from tests.e2e.running_service import RunningService, process_table, until
from tests.e2e.storm import PatientStorm
from tests.fixtures.redis_server import RedisServer

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

NUM_JOBS = 300
NUM_KILLS = 15
NUM_FREEZES = 5
LEASE_S = 6.0
RERUN_WITHIN_S = 20.0
ONE_DEATH_IN_S = 16.0
"""Of one worker: `up` gives up after five deaths in a minute."""
DRAWN: dict[str, int] = {"width": 64, "height": 64, "steps": 20}

Fault = Callable[[], None]


@pytest.fixture
def service(
    new_service: Callable[..., RunningService], database_url: str, redis_server: RedisServer
) -> Iterator[RunningService]:
    """Two workers with short leases, on a database of their own, ended before that goes."""
    service = new_service(
        "--workers",
        "2",
        DARKROOM_DATABASE__URL=database_url,
        DARKROOM_REDIS__URL=redis_server.url,
        DARKROOM_QUEUE__LEASE_S=str(LEASE_S),
        DARKROOM_QUEUE__RENEW_S="1",
        DARKROOM_QUEUE__MAX_FAILURES="100",
    )
    service.wait_until_ready()
    yield service
    service.stop()


def test_nothing_is_lost_or_paid_twice_while_workers_and_redis_die(
    service: RunningService, redis_server: RedisServer
) -> None:
    chaos = Chaos(service, redis_server)
    with PatientStorm(service, num_clients=12, pause_s=0.2, **DRAWN) as storm:
        for fault in chaos.faults():
            fault()
        until("enough jobs were ordered", lambda: len(storm.answered) >= NUM_JOBS, within_s=200)

    until("everything committed is drawn", lambda: not unfinished(service), within_s=200)
    assert_all_delivered_and_paid_once(service)
    assert_no_more_was_done_twice_than_had_begun(service, chaos.accounts)


class Chaos:
    """Faults in a fixed but mixed order."""

    def __init__(self, service: RunningService, redis_server: RedisServer) -> None:
        self.service = service
        self.redis_server = redis_server
        self.accounts = Accounts()
        self._pairs = itertools.cycle([("worker 0", "worker 1"), ("worker 1", "worker 0")])
        self._died_at: dict[str, float] = {}

    def faults(self) -> list[Fault]:
        faults: list[Fault] = [self.kill_a_worker] * NUM_KILLS + [self.freeze_a_worker] * NUM_FREEZES
        faults += [self.flush_redis, self.flush_redis, self.restart_redis, self.restart_redis]
        faults += [self.kill_the_gateway] * 3
        random.Random(5).shuffle(faults)
        return faults

    def kill_a_worker(self) -> None:
        name, other = next(self._pairs)
        until_ready(self.service, other)
        time.sleep(max(0.0, self._died_at.get(name, 0.0) + ONE_DEATH_IN_S - time.monotonic()))
        frozen = freeze_while_drawing(self.service, name)
        os.kill(frozen.pid, signal.SIGKILL)
        until("the worker is gone", lambda: frozen.pid not in process_table())
        self._died_at[name] = time.monotonic()
        account_for(self.service, self.accounts, frozen, RERUN_WITHIN_S)

    def freeze_a_worker(self) -> None:
        """Beyond its lease; when it wakes, its rows are another's."""
        name, other = next(self._pairs)
        until_ready(self.service, other)
        frozen = freeze_while_drawing(self.service, name)
        account_for(self.service, self.accounts, frozen, RERUN_WITHIN_S)
        os.kill(frozen.pid, signal.SIGCONT)

    def flush_redis(self) -> None:
        self.redis_server.wipe()

    def restart_redis(self) -> None:
        self.redis_server.kill()
        time.sleep(1.0)  # long enough for everybody to notice
        self.redis_server.start()

    def kill_the_gateway(self) -> None:
        os.kill(self.service.pid_of("gateway"), signal.SIGKILL)


def assert_no_more_was_done_twice_than_had_begun(service: RunningService, accounts: Accounts) -> None:
    """A row is claimed again only if a dead or frozen worker held it, and drawn again only if that worker had begun it."""
    (total,) = service.query(
        "SELECT count(*) AS n, sum(attempt) AS claims, "
        "sum(failures + CASE WHEN is_suspect THEN 1 ELSE 0 END) AS begun_twice FROM generation"
    )
    print(  # noqa: T201 - the figures that are promised
        f"{total['n']} jobs, {total['claims'] - total['n']} claimed again of {accounts.num_held} held, "
        f"{total['begun_twice']} drawn again of {accounts.num_begun} begun, reruns within {max(accounts.reruns_s):.1f} s"
    )
    assert total["n"] >= NUM_JOBS
    assert total["begun_twice"] <= accounts.num_begun
    assert total["claims"] - total["n"] <= accounts.num_held
