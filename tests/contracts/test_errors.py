"""Every error has a code, a status and a row in docs/errors.md; every error of models/ becomes one that is documented."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import ServiceError
from models.errors import ModelError
from workers.errors import (
    RULES,
    UNKNOWN,
    DeadlineExceeded,
    InputLost,
    InputUnreadable,
    SigningFailed,
    StoreUnavailable,
    Unjudged,
    job_error,
)

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text()
REFUSALS, FAILURES = DOCUMENT.split("## Failures of a task")
OF_NO_CLASS = {"http_error": {404, 405, 416}, "internal_error": {500}}
FROM_THE_QUEUE = {"cancelled", "worker_lost"}
OF_THE_WORKER = (
    *(DeadlineExceeded(), StoreUnavailable(), SigningFailed(), Unjudged()),
    *(InputLost("image"), InputUnreadable("image")),
)


def descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def rows(text: str) -> dict[str, str]:
    """Documented code -> its second column."""
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", text, re.MULTILINE))


SERVICE_ERRORS = [kind for kind in descendants(ServiceError) if issubclass(kind, ServiceError)]


def test_codes_are_unique_and_plain() -> None:
    codes = [kind.code for kind in SERVICE_ERRORS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_every_refusal_is_documented_with_its_status_and_nothing_else_is() -> None:
    expected = {kind.code: {int(kind.status)} for kind in SERVICE_ERRORS} | OF_NO_CLASS
    documented = {code: {int(one) for one in statuses.split(",")} for code, statuses in rows(REFUSALS).items()}
    assert documented == expected


@pytest.mark.parametrize("kind", list(descendants(ModelError)), ids=lambda kind: kind.__name__)
def test_every_error_of_models_is_mapped(kind: type[Exception]) -> None:
    rule = next((RULES[ancestor] for ancestor in kind.__mro__ if ancestor in RULES), UNKNOWN)
    assert rule is not UNKNOWN


def test_every_failure_is_documented_with_its_retries_and_nothing_else_is() -> None:
    rules = [*RULES.values(), UNKNOWN]
    expected = {rule.code: rule.becomes.is_retryable for rule in rules}
    expected |= {error.code: error.is_retryable for error in OF_THE_WORKER}
    documented = {code: again == "yes" for code, again in rows(FAILURES).items()}
    assert {code: again for code, again in documented.items() if code not in FROM_THE_QUEUE} == expected
    assert set(documented) >= FROM_THE_QUEUE


def test_an_unforeseen_error_has_a_documented_code() -> None:
    assert job_error(RuntimeError("surprise")).code in rows(FAILURES)
