"""A picture field that names a file instead of holding a picture: by its id, or by the address that its upload was answered."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from app.core.db.tables.file import File
from app.core.errors import InvalidRequest
from app.core.inputs.header import Header
from app.core.inputs.picture import StoredPicture
from app.dependencies import Gateway
from app.files import repository
from app.files.names import is_file_id, object_key
from app.files.repository import READY

PATH: Final = "/v1/files"
_ADDRESS = re.compile(rf"{PATH}/([^/?#]+)(?:/content)?")
_MAX_CHARS: Final = 2048

FindFile = Callable[[str, str], Awaitable[StoredPicture | None]]
"""A field and its text to the file that it names; None where it names none. Raises InvalidRequest for one that cannot be had."""


class OwnFiles:
    """The files of one account.

    Args:
        public_url: of this server: an address under it is a file's, and needs no fetching.
    """

    def __init__(self, parts: Gateway, account_id: str, public_url: str) -> None:
        self._parts = parts
        self._account_id = account_id
        self._public_url = public_url

    async def __call__(self, field: str, text: str) -> StoredPicture | None:
        file_id = named_file(text, self._public_url)
        if file_id is None:
            return None
        async with self._parts.database.read() as session:
            found = await repository.find(session, self._account_id, file_id, self._parts.clock.utc_now())
        if found is None:
            raise _none(field, file_id, "there is no such file: unknown, expired, or not yours")
        if found.state != READY:
            raise _none(field, file_id, f"the file has not been completed: POST {PATH}/{file_id}/complete")
        return _picture(found)


async def no_files(field: str, text: str) -> StoredPicture | None:
    """Where nobody has to prove who they are, nobody has files."""
    file_id = named_file(text, "")
    if file_id is not None:
        raise _none(field, file_id, "no file is read here; send the picture itself")
    return None


def named_file(text: str, public_url: str) -> str | None:
    """The id in a text that is one, or that is the address of a file on this server."""
    if len(text) > _MAX_CHARS:
        return None
    text = text.strip()
    if is_file_id(text):
        return text
    found = _ADDRESS.fullmatch(text.removeprefix(public_url)) if public_url and text.startswith(public_url) else None
    return found[1] if found else None


def _none(field: str, file_id: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {why}", field=field, value=file_id, limit=f"the id of a file of POST {PATH}")


def _picture(file: File) -> StoredPicture:
    """A ready file has all of these."""
    header = Header(file.content_type, file.width or 0, file.height or 0, bool(file.has_alpha))
    return StoredPicture(object_key(file.id), file.sha256 or "", header, file.num_bytes)
