"""Clocks: the system's are aware and ahead, the manual one stands until it is told."""

from datetime import UTC

from app.core.clock import ManualClock, SystemClock


def test_the_systems_time_is_utc_and_runs() -> None:
    clock = SystemClock()
    assert clock.utc_now().tzinfo is UTC
    assert clock.monotonic_s() <= clock.monotonic_s()


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock()
    start, mark_s = clock.utc_now(), clock.monotonic_s()
    assert clock.utc_now() == start
    assert (clock.advance(2.5) - start).total_seconds() == 2.5
    assert clock.monotonic_s() - mark_s == 2.5
