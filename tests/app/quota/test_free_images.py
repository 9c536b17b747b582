"""Days and months of the quota are UTC's, whatever the length of the month."""

from datetime import UTC, datetime

import pytest

from app.accounts.plans import Quota
from app.quota.free_images import windows

QUOTA = Quota(20, 200, frozenset(), 1 << 20)


@pytest.mark.parametrize(
    ("now", "tomorrow", "next_month"),
    [
        ("2026-01-01T00:00:00", "2026-01-02", "2026-02-01"),
        ("2026-01-31T23:59:59", "2026-02-01", "2026-02-01"),
        ("2028-02-28T12:00:00", "2028-02-29", "2028-03-01"),
        ("2026-12-31T12:00:00", "2027-01-01", "2027-01-01"),
    ],
)
def test_a_window_begins_and_renews_at_midnight(now: str, tomorrow: str, next_month: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    day, month = windows(QUOTA, moment)
    assert (day.limit, month.limit) == (20, 200)
    assert day.begins <= moment < day.renews == datetime.fromisoformat(tomorrow).replace(tzinfo=UTC)
    assert month.begins <= moment < month.renews == datetime.fromisoformat(next_month).replace(tzinfo=UTC)
    assert month.begins.day == 1
