"""Claims of a worker with a full window: only what comes before the row that would leave it, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app.core import claims
from app.core.claims import Place
from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from tests.fixtures.accounts import EPOCH, NETWORK, POOL, MakeAccount, Submit

pytestmark = pytest.mark.anyio


async def queued(database: Database, make_account: MakeAccount, submit: Submit) -> dict[str, str]:
    """Name by id of rows of 5, 1 and 30 seconds, and one of a lower class."""
    account = await make_account()
    names: dict[str, str] = {}
    for name, expected_s, priority in (("middle", 5.0, 0), ("short", 1.0, 0), ("long", 30.0, 0), ("bulk", 0.5, 1)):
        (generation_id,) = await submit(account, priority=priority)
        names[generation_id] = name
        async with database.write() as session:
            await session.execute(
                update(Generation).where(Generation.id == generation_id).values(expected_s=expected_s)
            )
    return names


@pytest.mark.parametrize(
    ("place", "taken"),
    [
        (None, ["middle", "short", "long", "bulk"]),
        ((0, 5.0), ["short"]),
        ((0, 6.0), ["short", "middle"]),
        ((0, 1.0), []),
        ((1, 0.1), ["short", "middle", "long"]),
        ((1, 1.0), ["short", "middle", "long", "bulk"]),
    ],
)
async def test_only_rows_before_the_place_are_taken_the_shortest_first(
    database: Database, make_account: MakeAccount, submit: Submit, place: Place | None, taken: list[str]
) -> None:
    names = await queued(database, make_account, submit)
    now = EPOCH + timedelta(seconds=1)
    async with database.write() as session:
        assert await claims.has_work(session, POOL, [NETWORK], now, place) == bool(taken)
        claimed = await claims.claim(session, "w1", POOL, [NETWORK], 8, now, 12.0, place)
    order = [names[claim.generation_id] for claim in claimed]
    assert (sorted(order) if place is None else order) == (sorted(taken) if place is None else taken)
