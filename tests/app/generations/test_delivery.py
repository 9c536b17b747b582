"""Signed paths: what one opens, another does not."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from app.core.secret_file import Secrets
from app.generations.delivery import may_fetch, may_poll, polling_path, result_path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRETS = Secrets(SecretStr("pepper-pepper-pepper"), SecretStr("signing-signing-signing"))
OTHER = Secrets(SECRETS.key_pepper, SecretStr("another-another-another"))


def signature(path: str) -> tuple[str, str]:
    query = parse_qs(urlsplit(path).query)
    return query["expires"][0], query["signature"][0]


def test_a_polling_path_opens_its_task_until_the_task_is_forgotten() -> None:
    path = polling_path(SECRETS, "t1", NOW + timedelta(seconds=60))
    assert path.startswith("/v1/get_result?id=t1&")
    expires = signature(path)
    assert may_poll(SECRETS, "t1", *expires, NOW)
    assert not may_poll(SECRETS, "t2", *expires, NOW)
    assert not may_poll(OTHER, "t1", *expires, NOW)
    assert not may_poll(SECRETS, "t1", *expires, NOW + timedelta(seconds=60))


def test_a_result_path_opens_one_attempt_in_one_format() -> None:
    path = result_path(SECRETS, "g1", 2, "png", NOW, 600.0)
    bare = urlsplit(path).path
    assert bare == "/v1/results/g1/2/sample.png"
    expires = signature(path)
    assert may_fetch(SECRETS, bare, *expires, NOW)
    assert not may_fetch(SECRETS, "/v1/results/g1/3/sample.png", *expires, NOW)
    assert not may_fetch(SECRETS, bare, *expires, NOW + timedelta(seconds=600))


def test_a_signature_for_one_purpose_is_none_for_another() -> None:
    expires = signature(polling_path(SECRETS, "/v1/results/g1/2/sample.png", NOW + timedelta(seconds=60)))
    assert not may_fetch(SECRETS, "/v1/results/g1/2/sample.png", *expires, NOW)
