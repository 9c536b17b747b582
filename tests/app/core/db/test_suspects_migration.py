"""Rows that ran alone by the old rule, because they had failed, run alone by the new one."""

import asyncio

from sqlalchemy import text

from app.core.db.engine import Database
from app.core.db.migrate import migrate
from tests.app.core.db.test_grants_migration import OLD_ROWS


async def check(url: str) -> None:
    await migrate(url, "0001", down=True)
    database = Database.open(url)
    async with database.write() as session:
        for statement in OLD_ROWS:
            await session.execute(text(statement))
        await session.execute(text("UPDATE generation SET failures = 1"))
    await migrate(url)
    async with database.read() as session:
        rows = await session.execute(text("SELECT id, state, is_suspect FROM generation ORDER BY id"))
        assert [(one.id, one.state, bool(one.is_suspect)) for one in rows] == [
            ("g1", "ready", False),
            ("g2", "queued", True),
        ]
    await database.close()


def test_a_row_under_way_that_has_failed_stays_a_suspect(database_url: str) -> None:
    asyncio.run(check(database_url))
