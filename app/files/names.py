"""How a file is called, by its owner and in the object store."""

import re
import secrets
from typing import Final

PREFIX: Final = "file-"
"""A hyphen is in no base64: an id is never taken for a picture."""
_NUM_BYTES: Final = 12
_ID = re.compile(rf"{PREFIX}[0-9a-f]{{{2 * _NUM_BYTES}}}")
MAX_FILENAME_CHARS: Final = 255


def new_file_id() -> str:
    """As long as a database's id may be, and nobody's guess."""
    return PREFIX + secrets.token_hex(_NUM_BYTES)


def is_file_id(text: str) -> bool:
    """Whether this could be one. Asked before the database is."""
    return _ID.fullmatch(text) is not None


def object_key(file_id: str) -> str:
    """Where the picture lies once it has been looked at."""
    return f"files/{file_id.removeprefix(PREFIX)}"


def upload_key(file_id: str) -> str:
    """Where its owner sends it, who may still change it there until the presigned address expires."""
    return f"uploads/{file_id.removeprefix(PREFIX)}"


def shown_filename(text: str) -> str:
    """The last part of a caller's name for the file, of printable characters alone; it is shown, and never opened."""
    last = re.split(r"[/\\]", text)[-1]
    return "".join(char for char in last if char.isprintable())[:MAX_FILENAME_CHARS]
