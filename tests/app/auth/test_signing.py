"""A signature opens one thing, for one purpose, for a while."""

from datetime import UTC, datetime, timedelta

import pytest

from app.auth.signing import Purpose, is_valid, sign

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = int((NOW + timedelta(seconds=600)).timestamp())
SIGNATURE = sign("key", Purpose.POLL, "task-1", LATER)


def test_what_was_signed_is_valid_until_it_expires() -> None:
    assert is_valid("key", Purpose.POLL, "task-1", str(LATER), SIGNATURE, NOW)
    assert is_valid("key", Purpose.POLL, "task-1", str(LATER), SIGNATURE, NOW + timedelta(seconds=599))
    assert not is_valid("key", Purpose.POLL, "task-1", str(LATER), SIGNATURE, NOW + timedelta(seconds=600))


@pytest.mark.parametrize(
    ("key", "purpose", "subject", "expires", "signature"),
    [
        ("other", Purpose.POLL, "task-1", str(LATER), SIGNATURE),
        ("key", Purpose.RESULT, "task-1", str(LATER), SIGNATURE),
        ("key", Purpose.POLL, "task-2", str(LATER), SIGNATURE),
        ("key", Purpose.POLL, "task-1", str(LATER + 1), SIGNATURE),
        ("key", Purpose.POLL, "task-1", str(LATER), SIGNATURE[:-1]),
        ("key", Purpose.POLL, "task-1", str(LATER), "ünsigned"),
        ("key", Purpose.POLL, "task-1", "", SIGNATURE),
        ("key", Purpose.POLL, "task-1", "-1", SIGNATURE),
        ("key", Purpose.POLL, "task-1", "9" * 40, SIGNATURE),
        ("key", Purpose.POLL, "task-1", "१२३", SIGNATURE),
    ],
)
def test_anything_else_is_not(key: str, purpose: Purpose, subject: str, expires: str, signature: str) -> None:
    assert not is_valid(key, purpose, subject, expires, signature, NOW)
