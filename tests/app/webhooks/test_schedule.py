"""When a webhook is tried again."""

from random import Random

import pytest

from app.webhooks.schedule import DELAYS_S, JITTER, after_attempt


def test_delays_grow_as_published_with_jitter_and_have_an_end() -> None:
    random = Random(0)
    for number, delay_s in enumerate(DELAYS_S, start=1):
        following = after_attempt(number, 500, False, random)
        assert following.state == "waiting"
        assert following.delay_s is not None
        assert delay_s <= following.delay_s <= delay_s * (1 + JITTER)
    assert after_attempt(len(DELAYS_S) + 1, 500, False, random).state == "ended"


@pytest.mark.parametrize(
    ("status", "state"), [(200, "delivered"), (204, "delivered"), (302, "waiting"), (410, "ended")]
)
def test_what_a_receiver_says_decides(status: int, state: str) -> None:
    assert after_attempt(1, status, False, Random(0)).state == state


def test_who_is_overloaded_is_asked_later_and_what_cannot_work_never_again() -> None:
    assert (after_attempt(1, 429, False, Random(0)).delay_s or 0) >= 2 * DELAYS_S[0]
    assert after_attempt(1, None, True, Random(0)).state == "ended"
