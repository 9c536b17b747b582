"""What must hold after any mishap, looked up in the database of a running service."""

from typing import Any

from tests.e2e.running_service import RunningService


def unfinished(service: RunningService) -> list[Any]:
    return service.query("SELECT id FROM generation WHERE state IN ('queued', 'running')")


def attempt_of(service: RunningService, generation_id: str) -> int:
    return service.query("SELECT attempt FROM generation WHERE id = :id", id=generation_id)[0]["attempt"]


def is_queued(service: RunningService, generation_id: str) -> bool:
    return bool(service.query("SELECT 1 FROM generation WHERE id = :id AND state = 'queued'", id=generation_id))


def assert_all_delivered_and_paid_once(service: RunningService) -> None:
    """Every generation is ready, has one settlement, and the service's own audit finds nothing."""
    assert service.query("SELECT id, state, error_code FROM generation WHERE state != 'ready'") == []
    settled = service.query(
        "SELECT generation_id, count(*) AS times FROM ledger_transaction WHERE kind = 'settle' GROUP BY generation_id"
    )
    times = {row["generation_id"]: row["times"] for row in settled}
    assert all(times.get(row["id"]) == 1 for row in service.query("SELECT id FROM generation"))
    verified = service.darkroom("ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "0 credits held" in verified.stdout
