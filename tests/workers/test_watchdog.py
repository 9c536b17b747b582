"""The watchdog against a hand-moved clock."""

from workers.watchdog import Watchdog


def test_a_counter_that_stands_still_while_busy_is_a_hang() -> None:
    dog = Watchdog(limit_s=100.0)
    assert not dog.is_hung(1, is_busy=True, now_s=50.0)
    assert not dog.is_hung(1, is_busy=True, now_s=150.0)
    assert dog.is_hung(1, is_busy=True, now_s=151.0)


def test_a_counter_that_moves_is_none() -> None:
    dog = Watchdog(limit_s=100.0)
    assert not any(dog.is_hung(beat, is_busy=True, now_s=90.0 * beat) for beat in range(10))


def test_an_idle_engine_may_stand_still_and_its_next_step_has_the_whole_time() -> None:
    dog = Watchdog(limit_s=100.0)
    assert not dog.is_hung(1, is_busy=True, now_s=0.0)
    assert not dog.is_hung(1, is_busy=False, now_s=5000.0)
    assert not dog.is_hung(1, is_busy=True, now_s=5099.0)
    assert dog.is_hung(1, is_busy=True, now_s=5101.0)
