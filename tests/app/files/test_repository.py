"""Files' rows on both databases: whose they are, what room they take, who may finish them, and when they go."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from app.core.db.engine import Database
from app.core.db.tables.file import File
from app.core.errors import NotFound
from app.core.inputs.header import Header
from app.files import expiry, repository
from app.files.looking import Seen
from app.files.names import new_file_id
from app.files.repository import CHECKING, READY, UPLOADING, Held
from tests.fixtures.accounts import EPOCH, MakeAccount

pytestmark = pytest.mark.anyio

LIFE = timedelta(seconds=100)
SEEN = Seen(Header("image/png", 96, 64, has_alpha=True), "ab" * 32, 2**31)


def row(account_id: str, state: str = UPLOADING, now: datetime = EPOCH) -> File:
    return File(
        id=new_file_id(),
        account_id=account_id,
        state=state,
        purpose="input",
        filename="äpfel 🍏.png",
        num_bytes=2**31,
        content_type="image/png",
        created_at=now,
        expires_at=now + LIFE,
    )


async def test_of_several_who_finish_a_file_one_does_and_nobody_does_after_its_time(
    database: Database, make_account: MakeAccount
) -> None:
    ann, bob = await make_account(), await make_account()
    async with database.write() as session:
        session.add(one := row(ann))
        await session.flush()
        assert [await repository.move(session, one.id, EPOCH, UPLOADING, CHECKING) for _ in range(2)] == [True, False]
        assert not await repository.finish(session, one.id, SEEN, EPOCH + LIFE, EPOCH)
        for is_first in (True, False):
            assert await repository.finish(session, one.id, SEEN, EPOCH, EPOCH + 2 * LIFE) is is_first
    async with database.read() as session:
        found = await repository.own(session, ann, one.id, EPOCH + LIFE)
        assert (found.state, found.sha256, found.width, found.has_alpha) == (READY, "ab" * 32, 96, True)
        for account_id, now in ((bob, EPOCH), (ann, EPOCH + 2 * LIFE)):
            with pytest.raises(NotFound):
                await repository.own(session, account_id, one.id, now)


async def test_room_is_what_lives_and_pages_have_an_order(database: Database, make_account: MakeAccount) -> None:
    ann, bob = await make_account(), await make_account()
    ids: list[str] = []
    async with database.write() as session:
        for index in range(4):
            session.add(one := row(ann, now=EPOCH + index // 2 * LIFE / 2))  # two at a time
            ids.append(one.id)
        session.add(row(bob))
        await session.flush()
        assert await repository.held(session, ann, EPOCH) == Held(4, 4 * 2**31)
        assert await repository.held(session, ann, EPOCH + LIFE) == Held(2, 2 * 2**31)
        pages: list[str] = []
        while page := await repository.newest(session, ann, EPOCH, 1, pages[-1] if pages else None):
            pages += [one.id for one in page]
        assert pages == sorted(ids[2:], reverse=True) + sorted(ids[:2], reverse=True)
        gone = await expiry.expired_files(session, EPOCH + LIFE)
        assert len(gone) == 3
        await expiry.forget_files(session, gone)
        assert set((await session.scalars(select(File.id))).all()) == set(ids[2:])
