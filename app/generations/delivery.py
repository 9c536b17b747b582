"""Signed, expiring addresses on this server: of a task to poll, of a result to fetch. Paths only; the host is app.api's."""

from datetime import datetime, timedelta

from app.auth.signing import Purpose, is_valid, sign
from app.core.secret_file import Secrets

POLL_PATH = "/v1/get_result"
RESULT_PATH = "/v1/results/{generation_id}/{attempt}/sample.{extension}"


def polling_path(secrets: Secrets, task_id: str, expires_at: datetime) -> str:
    """Path and query that show this task to whoever holds them."""
    return f"{POLL_PATH}?id={task_id}&{_signature(secrets, Purpose.POLL, task_id, expires_at)}"


def may_poll(secrets: Secrets, task_id: str, expires: str, signature: str, now: datetime) -> bool:
    key = secrets.url_signing_key.get_secret_value()
    return is_valid(key, Purpose.POLL, task_id, expires, signature, now)


def result_path(secrets: Secrets, generation_id: str, attempt: int, extension: str, now: datetime, ttl_s: float) -> str:
    """Path and query of a result's bytes, good for `ttl_s` seconds."""
    path = RESULT_PATH.format(generation_id=generation_id, attempt=attempt, extension=extension)
    return f"{path}?{_signature(secrets, Purpose.RESULT, path, now + timedelta(seconds=ttl_s))}"


def may_fetch(secrets: Secrets, path: str, expires: str, signature: str, now: datetime) -> bool:
    key = secrets.url_signing_key.get_secret_value()
    return is_valid(key, Purpose.RESULT, path, expires, signature, now)


def _signature(secrets: Secrets, purpose: Purpose, subject: str, expires_at: datetime) -> str:
    expires = int(expires_at.timestamp())
    return f"expires={expires}&signature={sign(secrets.url_signing_key.get_secret_value(), purpose, subject, expires)}"
