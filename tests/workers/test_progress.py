"""Which steps become events."""

from workers.progress import ProgressThrottle


def test_a_row_sends_at_most_one_step_an_interval_and_always_its_last() -> None:
    throttle = ProgressThrottle(0.25)
    sent = [step for step in range(1, 11) if throttle.lets_through("row", step, 10, now_s=0.1 * step)]
    assert sent == [1, 4, 7, 10]
    assert throttle.lets_through("row", 10, 10, now_s=1.0)


def test_rows_do_not_share_an_interval() -> None:
    throttle = ProgressThrottle(0.25)
    assert throttle.lets_through("a", 1, 10, now_s=0.0)
    assert throttle.lets_through("b", 1, 10, now_s=0.0)
    throttle.forget("a")
    assert throttle.lets_through("a", 2, 10, now_s=0.0)
