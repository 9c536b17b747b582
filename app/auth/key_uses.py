"""When keys were last used: noted in memory on the request path, written at most once a minute off it."""

import asyncio
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.auth import repository
from app.core.db.engine import Database

WRITE_EVERY_S: Final = 60.0

log = structlog.stdlib.get_logger(__name__)


class KeyUses:
    """Uses that are not written yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unwritten: dict[str, datetime] = {}

    def note(self, key_id: str, now: datetime) -> None:
        self._unwritten[key_id] = now

    async def write(self) -> None:
        """Write all that was noted; what cannot be written now is kept for the next time."""
        used, self._unwritten = self._unwritten, {}
        if not used:
            return
        try:
            async with self._database.write() as session:
                await repository.note_uses(session, used)
        except (SQLAlchemyError, OSError) as error:
            self._unwritten = used | self._unwritten
            log.warning("last use of keys not written", error=str(error))

    async def write_forever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write()
