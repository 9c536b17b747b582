"""The watchdog against a hand-moved clock, and the end of a process that hangs."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.core import claims
from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from tests.fixtures.accounts import insert_account, insert_task
from workers.watchdog import Watchdog


def test_a_counter_that_stands_still_while_busy_is_a_hang() -> None:
    dog = Watchdog(limit_s=100.0)
    assert not dog.is_hung(1, is_busy=True, now_s=50.0)
    assert not dog.is_hung(1, is_busy=True, now_s=150.0)
    assert dog.is_hung(1, is_busy=True, now_s=151.0)


def test_a_counter_that_moves_is_none() -> None:
    dog = Watchdog(limit_s=100.0)
    assert not any(dog.is_hung(beat, is_busy=True, now_s=90.0 * beat) for beat in range(10))


def test_an_idle_engine_may_stand_still_and_its_next_step_has_the_whole_time() -> None:
    dog = Watchdog(limit_s=100.0)
    assert not dog.is_hung(1, is_busy=True, now_s=0.0)
    assert not dog.is_hung(1, is_busy=False, now_s=5000.0)
    assert not dog.is_hung(1, is_busy=True, now_s=5099.0)
    assert dog.is_hung(1, is_busy=True, now_s=5101.0)


@pytest.mark.prove
@pytest.mark.anyio
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_process_whose_steps_stand_still_ends_and_its_row_is_suspected_once_its_lease_is_over(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with database.write() as session:
        account_id = await insert_account(session, now=datetime.now(UTC))
        (generation_id,) = await insert_task(session, account_id, now=datetime.now(UTC))
    environment = os.environ | {
        "DARKROOM_DATABASE__URL": database_url,
        "DARKROOM_QUEUE__RENEW_S": "0.1",
        "DARKROOM_QUEUE__POLL_S": "0.05",
        "DARKROOM_WORKER__HUNG_AFTER_S": "0.5",
    }
    command = [sys.executable, "-m", "tests.workers.hanging_worker", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(60.0):
            assert await process.wait() == 1
    finally:
        if process.returncode is None:
            process.kill()
    async with database.write() as session:
        row = await session.get_one(Generation, generation_id)
        assert (row.state, row.first_step_at is not None) == ("running", True)
        assert row.lease_until is not None
        await claims.sweep(session, row.lease_until, max_failures=3)
        await session.refresh(row)
        assert (row.state, row.is_suspect, row.failures) == ("queued", True, 0)
