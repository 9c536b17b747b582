"""Identifiers: random, so that nobody can guess another's."""

import re
import uuid

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def new_id() -> str:
    """A UUIDv4 with dashes, as clients of task ids expect."""
    return str(uuid.uuid4())


def is_id(text: str) -> bool:
    """Whether this could be an identifier of ours. Asked before the database is, which refuses some characters."""
    return _ID.fullmatch(text) is not None


def new_request_id() -> str:
    """Names one HTTP request in logs and answers."""
    return f"req_{uuid.uuid4().hex}"


def result_key(generation_id: str, attempt: int, output_format: str) -> str:
    """Where an attempt's picture lies in the object store. The attempt is in it, so a zombie overwrites nothing."""
    return f"results/{generation_id}/{attempt}.{output_format}"
