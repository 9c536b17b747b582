"""Faults at a worker, each with a count of what it held at that moment, so that what is done twice can be accounted for."""

import os
import signal
import time
from dataclasses import dataclass, field

from tests.e2e.running_service import RunningService, until

SETTLES_WITHIN_S = 0.2
"""A frozen worker's last statement may still be on its way to the database."""
DRAWS_WITHIN_S = 120.0

HELD_BY = """
SELECT generation.id AS id, attempt, first_step_at IS NOT NULL AS has_begun
FROM generation JOIN worker ON worker.id = generation.worker_id
WHERE worker.pid = :pid AND generation.state = 'running'
"""


@dataclass
class Accounts:
    """What all faults so far may have cost at most: each held row another claim, each begun one another execution."""

    num_held: int = 0
    num_begun: int = 0
    reruns_s: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class Frozen:
    """A worker that was stopped while it drew: the attempts that it held by generation, and those of them that had begun."""

    pid: int
    held: dict[str, int]
    begun: dict[str, int]


def until_ready(service: RunningService, name: str) -> None:
    """Wait until the worker of this name, the present one, claims."""
    ready = "SELECT 1 FROM worker WHERE pid = :pid AND ready_at IS NOT NULL"
    until(f"the {name} is ready", lambda: service.query(ready, pid=service.pid_of(name)), DRAWS_WITHIN_S)


def freeze_while_drawing(service: RunningService, name: str) -> Frozen:
    """SIGSTOP it at a moment at which it has begun something."""
    return until(f"the {name} draws", lambda: _frozen(service, name), DRAWS_WITHIN_S)


def _frozen(service: RunningService, name: str) -> Frozen | None:
    pid = service.pid_of(name)
    if not any(row["has_begun"] for row in service.query(HELD_BY, pid=pid)):
        return None
    os.kill(pid, signal.SIGSTOP)
    time.sleep(SETTLES_WITHIN_S)
    held = service.query(HELD_BY, pid=pid)
    begun = {row["id"]: row["attempt"] for row in held if row["has_begun"]}
    if not begun:
        os.kill(pid, signal.SIGCONT)
        return None
    return Frozen(pid, {row["id"]: row["attempt"] for row in held}, begun)


def account_for(service: RunningService, accounts: Accounts, frozen: Frozen, rerun_within_s: float) -> None:
    """Wait until everything that the worker had begun runs again."""
    accounts.num_held += len(frozen.held)
    accounts.num_begun += len(frozen.begun)
    since = time.monotonic()
    until("what it had begun runs again", lambda: not _still_its(service, frozen), rerun_within_s)
    accounts.reruns_s.append(time.monotonic() - since)


def _still_its(service: RunningService, frozen: Frozen) -> list[str]:
    """Generations whose latest attempt is the frozen worker's, of those that it had begun."""
    waiting = service.query("SELECT id, attempt FROM generation WHERE state IN ('queued', 'running')")
    return [row["id"] for row in waiting if frozen.begun.get(row["id"]) == row["attempt"]]
