"""Retries: as long as somebody wants it, never for what time cannot mend."""

import itertools

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from structlog.testing import capture_logs

from workers import retrying
from workers.retrying import Persisted, delays, persist

pytestmark = pytest.mark.anyio


class Flaky:
    """Fails with each of these in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.num_calls = 0

    async def __call__(self) -> str:
        self.num_calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def locked() -> OperationalError:
    return OperationalError("UPDATE", {}, Exception("database is locked"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_DELAY_S", 0.0)


def test_delays_double_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_DELAY_S", 0.1)
    assert list(itertools.islice(delays(), 7)) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


async def test_what_works_at_once_has_not_failed() -> None:
    assert await persist("x", Flaky(), lambda: True) == Persisted("done", has_failed=False)


async def test_a_lock_or_a_lost_connection_is_tried_again() -> None:
    with capture_logs() as logs:
        answer = await persist("x", Flaky(locked(), ConnectionResetError()), lambda: True)
    assert answer == Persisted("done", has_failed=True)
    assert [line["event"] for line in logs] == ["retrying", "retrying"]


async def test_nothing_is_tried_that_nobody_wants_any_more() -> None:
    action, wishes = Flaky(locked(), locked(), locked()), iter([True, True, False])
    with capture_logs():
        assert await persist("x", action, lambda: next(wishes)) == Persisted(None, has_failed=True)
    assert action.num_calls == 2


async def test_a_mistake_is_not_tried_again() -> None:
    with pytest.raises(IntegrityError):
        await persist("x", Flaky(IntegrityError("INSERT", {}, Exception("unique"))), lambda: True)
