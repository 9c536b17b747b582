"""Uploading, finishing and deleting files. The row comes before the object, so that a crash leaves nothing that no sweep finds."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Final

from app.accounts import audit_log
from app.accounts.audit_log import Action, Actor
from app.core.db.tables.file import File
from app.core.errors import Conflict, InvalidRequest, NotFound
from app.core.inputs.encoded import MAX_BYTES
from app.core.storage.base import ObjectMissing
from app.core.storage.presigned import PresignedPost
from app.dependencies import Gateway
from app.files import repository
from app.files.looking import FIELD, Seen, look_at
from app.files.names import new_file_id, object_key, upload_key
from app.files.repository import CHECKING, READY, UPLOADING

DEFAULT_PURPOSE: Final = "input"
PURPOSES: Final = (DEFAULT_PURPOSE, "vision", "user_data")
"""The last two are OpenAI's words for the same."""


@dataclass(frozen=True)
class Announced:
    """What a caller says of a file before anybody has looked at it."""

    filename: str = ""
    purpose: str = DEFAULT_PURPOSE
    content_type: str = ""
    num_bytes: int = 0


@dataclass(frozen=True)
class Owner:
    """Whose files, and how the audit log names who acts."""

    account_id: str
    actor: Actor


async def upload(parts: Gateway, owner: Owner, announced: Announced, file: BinaryIO) -> File:
    """Look at a file that has come in, and store it.

    Raises:
        InvalidRequest: it is no picture, or one outside the limits.
        Conflict: the account has as many files, or bytes of them, as it may.
        StoreDown: the store does not answer.
    """
    seen = await asyncio.to_thread(look_at, file)
    row = await _opened(parts, owner, announced, CHECKING, seen.num_bytes)
    async with _ended_on_failure(parts, row.id):
        return await _stored(parts, owner, row.id, seen, file)


async def begin(parts: Gateway, owner: Owner, announced: Announced) -> tuple[File, PresignedPost]:
    """Make room for a file that its owner sends to the bucket, and say how. Raises InvalidRequest, Conflict."""
    if parts.presigner is None:
        message = "upload: nothing is sent to a bucket directly here; send the picture itself to this address"
        raise InvalidRequest(message, field="upload", value="presigned", limit="a form, or the picture as it is")
    row = await _opened(parts, owner, announced, UPLOADING, announced.num_bytes)
    key, seconds = upload_key(row.id), parts.settings.files.upload_s
    return row, await parts.presigner.upload(key, announced.num_bytes, announced.content_type, seconds)


async def complete(parts: Gateway, owner: Owner, file_id: str) -> File:
    """Look at what its owner has sent to the bucket; one that is ready already is answered again.

    Raises:
        NotFound: there is no such file.
        Conflict: nothing has been sent, or somebody else completes it now.
        InvalidRequest: what was sent is no picture, outside the limits, or not as long as announced. It is given up then.
    """
    now = parts.clock.utc_now()
    async with parts.database.write() as session:
        row = await repository.own(session, owner.account_id, file_id, now)
        if row.state == READY:
            return row
        if not await repository.move(session, file_id, now, UPLOADING, CHECKING):
            raise Conflict("the file is being looked at", field="file_id", value=file_id)
    with tempfile.TemporaryFile() as file:
        try:
            await _fetch(parts, row, file)
            ready = await _stored(parts, owner, file_id, await asyncio.to_thread(look_at, file), file)
        except BaseException as error:  # a cancelled request too; it goes on
            await _after_failure(parts, file_id, error)
            raise
    await parts.store.delete(upload_key(file_id))
    return ready


async def delete(parts: Gateway, owner: Owner, file_id: str) -> None:
    """Nobody finds the file from now on. Tasks that it was sent with have copies. Raises NotFound."""
    now = parts.clock.utc_now()
    async with parts.database.write() as session:
        await repository.own(session, owner.account_id, file_id, now)
        await repository.end(session, file_id, now)
        await audit_log.record(session, owner.actor, Action.FILE_DELETED, owner.account_id, now, subject=file_id)


async def _opened(parts: Gateway, owner: Owner, announced: Announced, state: str, num_bytes: int) -> File:
    """The row, if the account has room for it. Raises Conflict."""
    now, limits = parts.clock.utc_now(), parts.settings.files
    row = File(
        id=new_file_id(),
        account_id=owner.account_id,
        state=state,
        purpose=announced.purpose,
        filename=announced.filename,
        num_bytes=num_bytes,
        content_type=announced.content_type,
        created_at=now,
        expires_at=now + timedelta(seconds=limits.upload_s),
    )
    async with parts.database.write() as session:
        held = await repository.held(session, owner.account_id, now)
        if held.num_files >= limits.max_files:
            message = (
                f"the account has {held.num_files} files, as many as it may; delete some, or wait for them to expire"
            )
            raise Conflict(message, limit=limits.max_files)
        if held.num_bytes + num_bytes > limits.max_bytes:
            message = f"the account's files have {held.num_bytes} bytes, and this one {num_bytes}; delete some first"
            raise Conflict(message, limit=f"{limits.max_bytes} bytes")
        session.add(row)
    return row


async def _stored(parts: Gateway, owner: Owner, file_id: str, seen: Seen, file: BinaryIO) -> File:
    """Store what was looked at, then say that it is there."""
    key = object_key(file_id)
    await parts.store.put_file(key, file, seen.header.content_type)
    now = parts.clock.utc_now()
    expires_at = now + timedelta(seconds=parts.settings.files.retention_s)
    async with parts.database.write() as session:
        if await repository.finish(session, file_id, seen, now, expires_at):
            detail = {"bytes": seen.num_bytes, "content_type": seen.header.content_type}
            await audit_log.record(
                session, owner.actor, Action.FILE_UPLOADED, owner.account_id, now, subject=file_id, detail=detail
            )
            return await repository.own(session, owner.account_id, file_id, now)
    await parts.store.delete(key)
    raise NotFound("the file was deleted, or gave out its time, while it came in", field="file_id", value=file_id)


async def _fetch(parts: Gateway, row: File, file: BinaryIO) -> None:
    """Bring what was sent to the bucket here, if it is as long as announced."""
    try:
        found = await parts.store.open(upload_key(row.id))
    except ObjectMissing:
        raise Conflict("nothing has been uploaded yet", field="file_id", value=row.id) from None
    if found.num_bytes != row.num_bytes or found.num_bytes > MAX_BYTES:
        message = f"{FIELD}: {found.num_bytes} bytes were uploaded, and {row.num_bytes} announced"
        raise InvalidRequest(message, field=FIELD, value=found.num_bytes, limit=row.num_bytes)
    async for chunk in found.chunks:
        await asyncio.to_thread(file.write, chunk)


async def _after_failure(parts: Gateway, file_id: str, error: BaseException) -> None:
    """What can still come may be completed later; what is wrong is given up."""
    now = parts.clock.utc_now()
    async with parts.database.write() as session:
        if isinstance(error, InvalidRequest):
            await repository.end(session, file_id, now)
        else:
            await repository.move(session, file_id, now, CHECKING, UPLOADING)


@asynccontextmanager
async def _ended_on_failure(parts: Gateway, file_id: str) -> AsyncGenerator[None]:
    """A file that could not be made ready takes no room of its account's."""
    try:
        yield
    except BaseException:  # a cancelled request too; it goes on
        async with parts.database.write() as session:
            await repository.end(session, file_id, parts.clock.utc_now())
        raise
