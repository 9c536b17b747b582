"""A process for the chaos tests to kill: submits for ever, or claims and delivers for ever, with a lease of one second."""

import asyncio
import sys
from datetime import UTC, datetime

from app.core.claims import Delivered
from app.core.clock import SystemClock
from app.core.config import QueueSettings
from app.core.db.engine import Database
from app.core.errors import InsufficientCredits
from app.core.ids import new_id, result_key
from app.core.work.sql import SqlWorkPort
from tests.fixtures.accounts import NETWORK, POOL, insert_task

QUEUE = QueueSettings(lease_s=1.0, max_failures=100)


async def submit(database: Database, account_id: str) -> None:
    while True:
        try:
            async with database.write() as session:
                await insert_task(session, account_id, now=datetime.now(UTC), num_images=2)
        except InsufficientCredits:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)


async def work(database: Database) -> None:
    clock = SystemClock()
    port = SqlWorkPort(database, QUEUE, clock, new_id(), POOL, [NETWORK])
    while True:
        for claim in await port.claim(2):
            await port.first_step([claim.held])
            await asyncio.sleep(0.05)
            key = result_key(*claim.held, "png")
            picture = Delivered(key, "image/png", "0" * 64, 128, 128, 0, 1, clock.utc_now())
            await port.deliver(*claim.held, picture)
        await asyncio.sleep(0.02)


async def main(role: str, url: str, account_id: str) -> None:
    database = Database.open(url)
    await (submit(database, account_id) if role == "submit" else work(database))


asyncio.run(main(*sys.argv[1:]))
