"""Queries on files. An expired one is not there; who asks names the account, and finds no other's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db.tables.account import Account
from app.core.db.tables.file import File
from app.core.errors import InvalidRequest, NotFound
from app.files.looking import Seen
from app.files.names import is_file_id

UPLOADING, CHECKING, READY = "uploading", "checking", "ready"


@dataclass(frozen=True)
class Held:
    """What an account's files take."""

    num_files: int
    num_bytes: int


async def find(session: AsyncSession, account_id: str, file_id: str, now: datetime) -> File | None:
    """The account's file of this id, in any state."""
    if not is_file_id(file_id):
        return None
    query = select(File).where(File.id == file_id, File.account_id == account_id, File.expires_at > now)
    return (await session.scalars(query, execution_options={"populate_existing": True})).one_or_none()


async def own(session: AsyncSession, account_id: str, file_id: str, now: datetime) -> File:
    """The same. Raises NotFound."""
    found = await find(session, account_id, file_id, now)
    if found is None:
        raise NotFound("there is no such file: unknown, expired, or not yours", field="file_id", value=file_id)
    return found


async def newest(
    session: AsyncSession, account_id: str, now: datetime, limit: int, after: str | None = None
) -> Sequence[File]:
    """At most so many, newest first, behind the one of this id. Raises InvalidRequest where there is none of it."""
    query = select(File).where(File.account_id == account_id, File.expires_at > now)
    if after is not None:
        last = await find(session, account_id, after, now)
        if last is None:
            raise InvalidRequest("after: there is no such file", field="after", value=after, limit="an id of a page")
        query = query.where(tuple_(File.created_at, File.id) < tuple_(last.created_at, last.id))
    return (await session.scalars(query.order_by(File.created_at.desc(), File.id.desc()).limit(limit))).all()


async def held(session: AsyncSession, account_id: str, now: datetime) -> Held:
    """Unfinished uploads count too. The account's row is locked until the commit, so that nobody adds to it meanwhile."""
    await session.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
    query = select(func.count(), func.coalesce(func.sum(File.num_bytes), 0)).where(
        File.account_id == account_id, File.expires_at > now
    )
    num_files, num_bytes = (await session.execute(query)).one()
    return Held(num_files, int(num_bytes))


async def move(session: AsyncSession, file_id: str, now: datetime, old: str, new: str) -> bool:
    """Put a living file into another state; False when it is not in the old one: of several callers one gets it."""
    query = update(File).where(File.id == file_id, File.state == old, File.expires_at > now).values(state=new)
    return (await session.execute(query.returning(File.id))).one_or_none() is not None


async def finish(session: AsyncSession, file_id: str, seen: Seen, now: datetime, expires_at: datetime) -> bool:
    """Make a file that was looked at ready; False when it has gone meanwhile."""
    header = seen.header
    query = (
        update(File)
        .where(File.id == file_id, File.state == CHECKING, File.expires_at > now)
        .values(
            state=READY,
            num_bytes=seen.num_bytes,
            content_type=header.content_type,
            sha256=seen.sha256,
            width=header.width,
            height=header.height,
            has_alpha=header.has_alpha,
            expires_at=expires_at,
        )
    )
    return (await session.execute(query.returning(File.id))).one_or_none() is not None


async def end(session: AsyncSession, file_id: str, now: datetime) -> None:
    """Nobody finds it from now on, and the next sweep deletes it."""
    await session.execute(update(File).where(File.id == file_id).values(expires_at=now))
