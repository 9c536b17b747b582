"""Files whose time is over: their objects are deleted, then their rows."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.file import File
from app.core.storage.base import ObjectStore
from app.files.names import object_key, upload_key


async def expired_files(session: AsyncSession, now: datetime, limit: int = 100) -> Sequence[str]:
    """Ids of files past their time, also of those that never became ready."""
    query = select(File.id).where(File.expires_at <= now).order_by(File.expires_at).limit(limit)
    return (await session.scalars(query)).all()


async def remove_objects(store: ObjectStore, file_ids: Sequence[str]) -> None:
    """Whatever may lie there of them; before the rows go, so that a crash in between repeats it."""
    for file_id in file_ids:
        for key in (object_key(file_id), upload_key(file_id)):
            await store.delete(key)


async def forget_files(session: AsyncSession, file_ids: Sequence[str]) -> None:
    """Delete the rows."""
    await session.execute(delete(File).where(File.id.in_(file_ids)))
