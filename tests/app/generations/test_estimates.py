"""What a queued generation is told of its wait: its place, and what goes before it by how fast its pool has served."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core import claims
from app.core.claims import Delivered
from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from app.generations.estimates import QueuePlace, Served, left_s, place_of, rate
from tests.fixtures.accounts import EPOCH, NETWORK, POOL, MakeAccount, Submit

pytestmark = pytest.mark.anyio


def at(seconds: float):
    return EPOCH + timedelta(seconds=seconds)


def served(expected_s: float, started: float, finished: float) -> Served:
    return Served(expected_s, at(started), at(finished))


def test_the_rate_is_what_was_served_by_the_time_in_which_anything_was() -> None:
    assert rate([]) is None
    assert rate([served(6.0, 0, 2)]) == 3.0
    assert rate([served(6.0, 0, 2), served(6.0, 100, 102)]) == 3.0  # idle between them
    assert rate([served(1.0, 0, 4), served(2.0, 1, 2), served(3.0, 3, 6)]) == 1.0  # beside each other
    assert rate([served(1.0, 3, 3)]) is None


def test_what_runs_counts_by_what_is_left_of_it() -> None:
    assert left_s([(4.0, 0.25), (2.0, None)]) == 5.0


async def deliver_one(database: Database, finished: float) -> None:
    """The first of the queue, claimed at second 0."""
    async with database.write() as session:
        (held,) = await claims.claim(session, "w", POOL, [NETWORK], 1, at(0), 12.0)
        picture = Delivered("key", "image/png", "0" * 64, 128, 128, 0, 10, at(finished))
        assert await claims.settle_delivered(session, held.generation_id, held.attempt, picture, at(finished))


async def test_a_queued_row_waits_for_those_before_it_and_for_what_runs(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    """Every row expects a second."""
    account_id = await make_account()
    rows = [(await submit(account_id, now=at(index)))[0] for index in range(4)]
    async with database.read() as session:
        assert await place_of(session, rows[3], lambda _: None) == QueuePlace(3, None)
    await deliver_one(database, finished=0.5)
    async with database.write() as session:
        await claims.claim(session, "w", POOL, [NETWORK], 1, at(1), 12.0)
    async with database.read() as session:
        assert (await session.scalars(select(Generation.expected_s))).all() == [1.0] * 4
        places = [await place_of(session, one, lambda _: 0.5) for one in (*rows, "unknown")]
    assert places == [None, None, QueuePlace(0, 0.25), QueuePlace(1, 0.75), None]
