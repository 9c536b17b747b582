"""Identifiers: random, so that nobody can guess another's."""

import uuid


def new_id() -> str:
    """A UUIDv4 with dashes, as clients of task ids expect."""
    return str(uuid.uuid4())


def new_request_id() -> str:
    """Names one HTTP request in logs and answers."""
    return f"req_{uuid.uuid4().hex}"


def result_key(generation_id: str, attempt: int, output_format: str) -> str:
    """Where an attempt's picture lies in the object store. The attempt is in it, so a zombie overwrites nothing."""
    return f"results/{generation_id}/{attempt}.{output_format}"
