"""The sweeper: one gateway at a time looks after lost leases, deadlines and retention."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import select

from app.core import claims
from app.core.db.tables.generation import Generation
from app.core.storage.base import ObjectMissing
from app.generations.sweeper import Sweeper
from tests.fixtures.api import Api, Customer, RunApi

pytestmark = pytest.mark.anyio


class Bell:
    """A dispatcher that remembers whom it rang."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, pool: str) -> None:
        self.rung.append(pool)


def sweeper_of(api: Api, bell: Bell | None = None) -> Sweeper:
    """A sweeper beside the gateway's own."""
    return Sweeper(replace(api.parts, dispatcher=bell or Bell()))


@pytest.fixture
async def idle(run_api: RunApi) -> AsyncIterator[Api]:
    """A gateway whose own sweeper has had its one turn, and whose lead has ended since."""
    async with run_api(queue={"sweep_s": 600}) as api:
        await api.install("flux-nano")
        await asyncio.sleep(0.05)
        api.clock.advance(10_000)
        yield api


async def state_of(api: Api) -> tuple[str, int, bool]:
    async with api.parts.database.read() as session:
        row = (await session.scalars(select(Generation))).one()
        return row.state, row.attempt, row.is_suspect


async def test_a_lost_lease_is_queued_again_and_its_pool_rung(idle: Api) -> None:
    ann, bell = await idle.account(), Bell()
    await ann.submit()
    claim = await idle.claim()
    async with idle.parts.database.write() as session:
        await claims.mark_first_step(session, [(claim.generation_id, 1)], idle.clock.utc_now())
    sweeper = sweeper_of(idle, bell)
    await sweeper.turn()
    assert await state_of(idle) == ("running", 1, False)
    idle.clock.advance(13)
    await sweeper.turn()
    assert await state_of(idle) == ("queued", 1, True)
    assert bell.rung == ["default"]


async def test_a_pool_whose_work_is_left_waiting_is_rung_again_at_every_sweep(idle: Api) -> None:
    ann, bell = await idle.account(), Bell()
    await ann.submit()
    sweeper = sweeper_of(idle, bell)
    await sweeper.turn()
    assert bell.rung == []
    idle.clock.advance(6)
    await sweeper.turn()
    await sweeper.turn()
    assert bell.rung == ["default", "default"]
    await idle.claim()
    await sweeper.turn()
    assert bell.rung == ["default", "default"]


async def test_a_passed_deadline_ends_the_task_and_gives_the_credits_back(idle: Api) -> None:
    ann = await idle.account()
    task = await ann.submit()
    idle.clock.advance(idle.parts.settings.queue.deadline_s + 1)
    await sweeper_of(idle).turn()
    body = (await idle.http.get(task["polling_url"])).json()
    assert (body["status"], body["details"]["code"]) == ("Error", "deadline_exceeded")
    assert await ann.credits() == 100
    assert await idle.breaches() == []


async def test_an_expired_task_loses_its_picture_and_keeps_the_books(idle: Api) -> None:
    ann = await idle.account()
    await ann.submit()
    claim = await idle.claim()
    await idle.finish(claim)
    key = f"results/{claim.generation_id}/1.jpeg"
    assert await idle.parts.store.get(key)
    idle.clock.advance(idle.parts.settings.results.retention_s + 1)
    await sweeper_of(idle).turn()
    with pytest.raises(ObjectMissing):
        await idle.parts.store.get(key)
    assert await ann.credits() == 99.9
    assert await idle.breaches() == []


async def test_results_live_as_long_as_their_accounts_plan_says(run_api: RunApi) -> None:
    async with run_api(queue={"sweep_s": 600}, plans={"standard": {"retention_s": 100_000}}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        task = await ann.submit()
        claim = await api.claim()
        await api.finish(claim)
        shown = (await api.http.get(f"/v1/tasks/{task['id']}", headers=ann.headers)).json()
        lives = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
        assert lives.total_seconds() == 100_000
        sweeper = sweeper_of(api)
        for seconds, is_there in ((99_999, True), (1, False)):
            api.clock.advance(seconds)
            await sweeper.turn()
            polled = await api.http.get(f"/v1/tasks/{task['id']}", headers=ann.headers)
            assert (polled.status_code == 200) is is_there
            if is_there:
                assert await api.parts.store.get(f"results/{claim.generation_id}/1.jpeg")
        with pytest.raises(ObjectMissing):
            await api.parts.store.get(f"results/{claim.generation_id}/1.jpeg")


async def test_only_the_leader_sweeps_and_another_takes_over_when_it_dies(idle: Api) -> None:
    ann = await idle.account()
    await ann.submit()
    leader, other = sweeper_of(idle), sweeper_of(idle)
    await leader.turn()
    await idle.claim()
    idle.clock.advance(13)
    await other.turn()
    assert (await state_of(idle))[0] == "running"
    idle.clock.advance(10_000)
    await other.turn()
    assert (await state_of(idle))[0] == "error"


async def test_a_gateway_sweeps_by_itself(run_api: RunApi) -> None:
    async with run_api(queue={"sweep_s": 0.01}) as api:
        await api.install("flux-nano")
        ann: Customer = await api.account()
        await ann.submit()
        await api.claim()
        api.clock.advance(13)
        for _ in range(500):
            if (await state_of(api))[0] == "queued":
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the lost lease was not noticed")
