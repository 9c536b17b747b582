"""A whole worker in one process: claims, settles, fences, cancels, drains and fails as it should, on both databases."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from structlog.testing import capture_logs

from app.core import claims, ledger
from app.core.claims import Delivered
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.events.base import Cancel, Done, Preview, Progress
from app.core.ids import result_key
from app.core.work.sql import SqlWorkPort
from tests.fixtures.accounts import CREDITS_MICRO, EPOCH, NETWORK, POOL, PRICE_MICRO, MakeAccount, Submit
from tests.workers.bench import Bench, running

pytestmark = pytest.mark.anyio
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nobody configured logging here, and the default's tracebacks take seconds to draw."""
    with capture_logs():
        yield


async def balance(database: Database, account_id: str) -> tuple[int, int]:
    """Posted and held; the audit passes."""
    async with database.read() as session:
        assert await ledger.verify(session) == []
        account = await session.get_one(Account, account_id)
        return account.posted_micro, account.held_micro


async def taken_by_another(bench: Bench, generation_id: str) -> None:
    """The lease runs out, the sweep takes it, and another worker claims the row."""
    now = bench.clock.advance(13.0)
    async with bench.database.write() as session:
        await claims.sweep(session, now, max_failures=3)
        (claim,) = await claims.claim(session, "w2", POOL, [NETWORK], 1, now, 12.0)
    assert (claim.generation_id, claim.attempt) == (generation_id, 2)


async def test_a_claimed_row_is_drawn_stored_settled_and_told(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    (generation_id,) = await submit(account)
    bench = Bench(database)
    bench.gate.open()
    async with running(bench):
        row = await bench.state(generation_id, "ready")
        await bench.until(lambda: any(isinstance(event, Done) for event in bench.events.published))
    assert row.object_key == result_key(generation_id, 1, "png")
    assert (row.attempt, row.failures, row.width, row.height, row.content_type) == (1, 0, 128, 128, "image/png")
    assert row.first_step_at is not None
    assert row.object_key is not None
    with Image.open(BytesIO(bench.store.objects[row.object_key])) as image:
        assert image.size == (128, 128)
    assert bench.events.published[-2:] == [Progress(generation_id, 16, 16), Done(generation_id, row.task_id, "ready")]
    assert await balance(database, account) == (CREDITS_MICRO - PRICE_MICRO, 0)


@sqlite_only
async def test_a_row_that_is_watched_is_shown_on_the_way(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database)
    await bench.change_spec(generation_id, previews=True)
    bench.gate.allow(1)
    async with running(bench):
        await bench.until(lambda: any(isinstance(event, Preview) for event in bench.events.published))
    (shown,) = [event for event in bench.events.published if isinstance(event, Preview)]
    assert (shown.generation_id, shown.step, shown.num_steps) == (generation_id, 1, 16)
    with Image.open(BytesIO(shown.jpeg)) as image:
        assert (image.format, image.size) == ("JPEG", (128, 128))


@sqlite_only
async def test_the_same_request_twice_gives_identical_bytes(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    first, second = [(await submit(account))[0] for _ in range(2)]
    bench = Bench(database)
    bench.gate.open()
    async with running(bench):
        rows = [await bench.state(generation_id, "ready") for generation_id in (first, second)]
    assert rows[0].sha256 == rows[1].sha256
    assert bench.store.objects[result_key(first, 1, "png")] == bench.store.objects[result_key(second, 1, "png")]


async def test_a_zombie_cannot_settle_and_takes_its_object_away(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    (generation_id,) = await submit(account)
    bench = Bench(database, renew_s=600.0)
    bench.gate.allow(1)
    async with running(bench):
        await bench.row_when(generation_id, lambda row: row.first_step_at is not None)
        await taken_by_another(bench, generation_id)
        bench.gate.open()
        await bench.until(lambda: bench.store.num_puts == 1)
        await bench.until(lambda: not bench.store.objects)
    row = await bench.row(generation_id)
    assert (row.state, row.attempt, row.worker_id, row.failures) == ("running", 2, "w2", 0)
    assert row.is_suspect
    assert await balance(database, account) == (CREDITS_MICRO, PRICE_MICRO)
    assert not any(isinstance(event, Done) for event in bench.events.published)


@sqlite_only
async def test_a_row_whose_lease_is_lost_is_dropped_at_the_next_step(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database, renew_s=600.0)
    bench.gate.allow(1)
    async with running(bench):
        await bench.row_when(generation_id, lambda row: row.first_step_at is not None)
        await taken_by_another(bench, generation_id)
        await bench.events.incoming.put(Cancel(generation_id))  # makes it look at its leases
        await bench.until(lambda: bench.io.num_held == 0)
        bench.gate.open()
        await bench.until(lambda: not bench.engine.is_busy)
        assert bench.gate.num_passed <= 3
    assert bench.store.num_puts == 0


async def test_a_cancel_stops_the_row_and_releases_its_credits(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    (generation_id,) = await submit(account)
    bench = Bench(database, renew_s=600.0)
    await bench.change_spec(generation_id, steps=50)
    bench.gate.allow(2)
    async with running(bench):
        row = await bench.row_when(generation_id, lambda row: row.first_step_at is not None)
        async with database.write() as session:
            assert await claims.request_cancel(session, row.task_id, EPOCH) == []
        await bench.events.incoming.put(Cancel(generation_id))
        await bench.state(generation_id, "cancelled", steps_meanwhile=1)
        assert bench.gate.num_passed < 50
    assert await balance(database, account) == (CREDITS_MICRO, 0)
    assert Done(generation_id, row.task_id, "cancelled") in bench.events.published


async def test_a_drain_finishes_what_runs_and_hands_the_rest_back(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    ids = await submit(await make_account(), num_images=3)
    bench = Bench(database)
    for generation_id in ids:
        await bench.change_spec(generation_id, steps=50)
    bench.gate.allow(1)
    async with running(bench) as work:
        await bench.until(lambda: bench.io.num_held == 3 and bench.gate.num_passed == 1)
        bench.drain()
        while not work.done():
            bench.gate.allow(1)
            await asyncio.sleep(0.005)
        assert await work == 0
    rows = [await bench.row(generation_id) for generation_id in ids]
    assert sorted(row.state for row in rows) == ["queued", "queued", "ready"]
    assert [(row.attempt, row.failures) for row in rows] == [(1, 0)] * 3


@sqlite_only
async def test_a_drain_that_takes_too_long_hands_the_running_row_back_without_a_failure(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database, drain_s=0.05)
    bench.gate.allow(1)
    async with running(bench) as work:
        await bench.row_when(generation_id, lambda row: row.first_step_at is not None)
        bench.drain()
        assert await work == 0
        row = await bench.row(generation_id)
        assert (row.state, row.attempt, row.failures) == ("queued", 1, 0)


async def test_a_row_that_fails_is_tried_again_and_then_given_up_without_its_neighbours(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    bad, good = await submit(account, num_images=2)
    bench = Bench(database)
    await bench.change_spec(bad, prompt="fails-step whatever")
    bench.gate.open()
    async with running(bench):
        await bench.state(good, "ready")
        row = await bench.state(bad, "error")
    assert (row.error_code, row.failures, row.attempt) == ("out_of_memory", 3, 3)
    assert await balance(database, account) == (CREDITS_MICRO - PRICE_MICRO, 0)


async def test_rows_that_share_steps_are_settled_each_as_its_own(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    """Four images of a task, one of which fails in every step and one when it is decoded; the others equal those drawn alone."""
    account = await make_account()
    stored: list[set[str]] = []
    for max_rows in (4, 1):
        ids = await submit(account, num_images=4)
        bench = Bench(database, max_rows=max_rows)
        await bench.change_spec(ids[1], prompt="fails-step always")
        await bench.change_spec(ids[2], prompt="fails-decoding always")
        bench.gate.open()
        async with running(bench):
            settled = [await bench.row_when(one, lambda row: row.finished_at is not None) for one in ids]
        assert [row.error_code for row in settled] == [None, "out_of_memory", "non_finite_image", None]
        assert [row.failures for row in settled] == [0, 3, 1, 0]
        assert (max(bench.network.num_rows_by_call) > 1) == (max_rows > 1)
        stored.append({str(row.sha256) for row in settled if row.state == "ready"})
    assert stored[0] == stored[1]
    assert await balance(database, account) == (CREDITS_MICRO - 4 * PRICE_MICRO, 0)


@sqlite_only
async def test_a_failure_that_would_repeat_is_not_repeated(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database)
    await bench.change_spec(generation_id, prompt="fails-decoding always")
    bench.gate.open()
    async with running(bench):
        row = await bench.state(generation_id, "error")
    assert (row.error_code, row.attempt) == ("non_finite_image", 1)


@sqlite_only
async def test_a_lost_device_ends_the_worker_and_costs_only_the_row_that_met_it(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    (guilty,) = await submit(account, priority=0)
    (other,) = await submit(account, priority=1)
    bench = Bench(database)
    await bench.change_spec(guilty, prompt="breaks-device badly")
    bench.gate.allow(1)
    async with running(bench) as work:
        assert await work == 1
        rows = [await bench.row(generation_id) for generation_id in (guilty, other)]
    assert [(row.state, row.failures) for row in rows] == [("queued", 1), ("queued", 0)]


@sqlite_only
async def test_a_row_for_a_network_that_is_not_loaded_fails_alone(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    bad, good = await submit(await make_account(), num_images=2)
    bench = Bench(database)
    await bench.change_spec(bad, network="flux-9")
    bench.gate.open()
    async with running(bench):
        await bench.state(good, "ready")
        assert (await bench.state(bad, "error")).error_code == "internal_error"


@sqlite_only
async def test_a_passed_deadline_ends_the_row_between_steps(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    (generation_id,) = await submit(account)
    bench = Bench(database, renew_s=600.0)
    bench.gate.allow(1)
    async with running(bench):
        await bench.row_when(generation_id, lambda row: row.first_step_at is not None)
        bench.clock.advance(1801.0)
        bench.gate.allow(1)
        row = await bench.state(generation_id, "error")
    assert row.error_code == "deadline_exceeded"
    assert await balance(database, account) == (CREDITS_MICRO, 0)


@sqlite_only
async def test_a_store_that_refuses_a_few_times_gets_the_picture_in_the_end(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database)
    bench.store.num_refusals = 2
    bench.gate.open()
    async with running(bench):
        row = await bench.state(generation_id, "ready")
    assert (row.attempt, bench.store.num_puts) == (1, 3)


@sqlite_only
async def test_a_store_that_stays_away_costs_an_attempt(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database)
    bench.store.num_refusals = 4
    bench.gate.open()
    async with running(bench):
        row = await bench.state(generation_id, "ready")
    assert (row.attempt, row.failures) == (2, 1)


class AnswerLost(SqlWorkPort):
    """Its first delivery takes effect, and then the connection breaks."""

    has_broken = False

    async def deliver(self, generation_id: str, attempt: int, delivered: Delivered) -> bool:
        answer = await super().deliver(generation_id, attempt, delivered)
        if not self.has_broken:
            self.has_broken = True
            raise ConnectionResetError("connection lost")
        return answer


@sqlite_only
async def test_a_delivery_whose_answer_was_lost_keeps_its_object(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    (generation_id,) = await submit(account)
    bench = Bench(database, make_port=AnswerLost, renew_s=600.0)
    bench.gate.open()
    async with running(bench):
        row = await bench.state(generation_id, "ready")
        await bench.until(lambda: bench.io.num_held == 0)
    assert list(bench.store.objects) == [row.object_key]
    assert await balance(database, account) == (CREDITS_MICRO - PRICE_MICRO, 0)


class AwayAtFirst(SqlWorkPort):
    """A database that refuses the first calls of every kind."""

    num_refusals = 2

    async def claim(self, limit: int, *, ahead_of: claims.Place | None = None) -> list[claims.Claim]:
        if self.num_refusals:
            self.num_refusals -= 1
            raise ConnectionRefusedError("no database yet")
        return await super().claim(limit, ahead_of=ahead_of)


@sqlite_only
async def test_a_database_that_comes_later_is_waited_for(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database, make_port=AwayAtFirst)
    bench.gate.open()
    async with running(bench):
        await bench.state(generation_id, "ready")


@sqlite_only
async def test_leases_are_renewed_while_a_step_runs_and_no_longer_once_it_hangs(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database)
    bench.gate.allow(1)
    async with running(bench) as work:
        await bench.row_when(generation_id, lambda row: row.first_step_at is not None)
        now = bench.clock.advance(100.0)
        renewed = now + timedelta(seconds=12)
        await bench.row_when(generation_id, lambda row: row.lease_until == renewed)
        bench.clock.advance(601.0)
        assert await work == 1
        row = await bench.row(generation_id)
        assert (row.state, row.lease_until) == ("running", renewed)


@sqlite_only
async def test_a_short_row_gets_into_a_full_window_and_overtakes(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account = await make_account()
    (long,) = await submit(account)
    bench = Bench(database, window=1)
    await bench.change_spec(long, steps=50, expected_s=50.0)
    bench.gate.allow(1)
    async with running(bench):
        await bench.row_when(long, lambda row: row.first_step_at is not None)
        (short,) = await submit(account)
        await bench.change_spec(short, steps=2, expected_s=2.0)
        bench.gate.allow(1)
        await bench.until(lambda: bench.io.num_held == 2)
        bench.gate.allow(4)
        await bench.state(short, "ready")
        assert (await bench.row(long)).state == "running"


@sqlite_only
async def test_pixels_that_were_stored_are_the_engines(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    bench = Bench(database)
    bench.gate.open()
    async with running(bench):
        row = await bench.state(generation_id, "ready")
    with Image.open(BytesIO(bench.store.objects[str(row.object_key)])) as image:
        assert np.asarray(image).std() > 1
