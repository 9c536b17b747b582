"""The audit log on both databases: it grows, and nothing in it changes."""

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from app.accounts.audit_log import Action, Actor, events, record
from app.core.db.engine import Database
from app.core.db.tables.audit_event import AuditEvent
from tests.fixtures.accounts import EPOCH, MakeAccount

pytestmark = pytest.mark.anyio


async def test_events_are_read_newest_first_page_by_page(database: Database, make_account: MakeAccount) -> None:
    ann, bob = await make_account(), await make_account()
    async with database.write() as session:
        for number in range(3):
            await record(session, Actor("tests"), Action.KEY_CREATED, ann, EPOCH, detail={"number": number})
        await record(session, Actor("tests", "req_1"), Action.KEY_REVOKED, bob, EPOCH, subject="key")
    async with database.read() as session:
        newest = await events(session, account_id=ann, limit=2)
        rest = await events(session, account_id=ann, before=newest[-1].id)
        everything = await events(session)
    assert [one.detail["number"] for one in (*newest, *rest)] == [2, 1, 0]
    assert (len(everything), everything[0].subject, everything[0].request_id) == (4, "key", "req_1")


@pytest.mark.parametrize("change", [update(AuditEvent).values(actor="nobody"), delete(AuditEvent)])
async def test_nothing_is_taken_back(database: Database, make_account: MakeAccount, change) -> None:
    account = await make_account()
    async with database.write() as session:
        await record(session, Actor("tests"), Action.ACCOUNT_OPENED, account, EPOCH)
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.write() as session:
            await session.execute(change)
