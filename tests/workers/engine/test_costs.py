"""Measured costs: the median holds against a slow step, unknown sizes are scaled, and groups grow only while it pays."""

from math import inf

import pytest

from workers.engine.costs import FORBIDDEN_FOR, MAX_ENTRIES, MIN_SAMPLES, TRY_AGAIN_AFTER, Costs
from workers.engine.row import Shape

SHAPE = Shape("tiny", 128, 128, 1)


def measured(seconds_by_rows: dict[int, float]) -> Costs:
    costs = Costs()
    for num_rows, seconds in seconds_by_rows.items():
        for _ in range(MIN_SAMPLES):
            costs.observe([SHAPE] * num_rows, seconds)
    return costs


def test_before_any_measurement_the_prior_counts() -> None:
    assert Costs().step_s(SHAPE, prior_s=0.7) == 0.7


def test_one_slow_step_does_not_move_the_median() -> None:
    costs = measured({1: 0.1})
    costs.observe([SHAPE], 30.0)
    assert costs.step_s(SHAPE, prior_s=9.0) == 0.1


def test_a_size_that_was_never_run_is_scaled_from_the_nearest_of_its_network() -> None:
    costs = measured({1: 0.1})
    assert costs.step_s(SHAPE._replace(width=256), prior_s=9.0) == 0.2
    assert costs.step_s(SHAPE._replace(num_passes=2), prior_s=9.0) == 0.2
    assert costs.step_s(SHAPE._replace(network="other"), prior_s=9.0) == 9.0


def test_a_pack_is_asked_for_only_once_its_rows_were_measured_alone() -> None:
    assert Costs().pack_s([SHAPE, SHAPE]) == inf
    assert measured({1: 1.0}).pack_s([SHAPE, SHAPE]) is None


def test_a_pack_costs_what_its_kind_costs_against_its_rows_alone() -> None:
    costs = measured({1: 1.0, 2: 1.5})
    assert costs.pack_s([SHAPE]) == 1.0
    assert costs.pack_s([SHAPE, SHAPE]) == pytest.approx(1.5)
    wide = SHAPE._replace(width=512)
    for _ in range(MIN_SAMPLES):
        costs.observe([wide], 4.0)
        costs.observe([SHAPE, wide], 4.5)
    assert costs.pack_s([wide, SHAPE]) == pytest.approx(4.5)
    assert costs.pack_s([SHAPE, SHAPE]) == pytest.approx(1.5)


def test_a_pack_that_was_not_run_for_long_is_tried_again() -> None:
    costs = measured({1: 1.0, 2: 2.0})
    for _ in range(TRY_AGAIN_AFTER + 1):
        costs.observe([SHAPE], 1.0)
    assert costs.pack_s([SHAPE, SHAPE]) is None


def steps_until_allowed(costs: Costs) -> int:
    for num_steps in range(4 * FORBIDDEN_FOR):
        if costs.pack_s([SHAPE, SHAPE]) != inf:
            return num_steps
        costs.observe([SHAPE], 1.0)
    raise AssertionError("forbidden for ever")


def test_a_pack_that_did_not_fit_is_forbidden_for_a_while_and_then_costs_what_it_did() -> None:
    costs = measured({1: 1.0, 2: 1.5})
    costs.forbid([SHAPE, SHAPE])
    assert steps_until_allowed(costs) == FORBIDDEN_FOR
    assert costs.pack_s([SHAPE, SHAPE]) == pytest.approx(1.5)


def test_a_pack_that_still_does_not_fit_waits_twice_as_long_and_one_that_does_starts_anew() -> None:
    costs = measured({1: 1.0, 2: 1.5})
    waits: list[int] = []
    for _ in range(2):
        costs.forbid([SHAPE, SHAPE])
        waits.append(steps_until_allowed(costs))
    costs.observe([SHAPE, SHAPE], 1.5)
    costs.forbid([SHAPE, SHAPE])
    assert [*waits, steps_until_allowed(costs)] == [FORBIDDEN_FOR, 2 * FORBIDDEN_FOR, FORBIDDEN_FOR]


def test_what_did_not_fit_forbids_larger_packs_and_no_smaller_or_other_ones() -> None:
    costs = measured({1: 1.0, 2: 1.5, 3: 2.0, 4: 2.5})
    costs.forbid([SHAPE] * 3)
    assert costs.pack_s([SHAPE] * 2) == pytest.approx(1.5)
    assert costs.pack_s([SHAPE] * 4) == inf
    small = SHAPE._replace(width=64)
    for _ in range(MIN_SAMPLES):
        costs.observe([small], 0.5)
    assert costs.pack_s([small] * 3) is None


def test_the_end_of_a_row_is_measured_too() -> None:
    costs = Costs()
    assert costs.end_s(SHAPE) == 0.0
    costs.observe_end(SHAPE, 0.2)
    assert costs.end_s(SHAPE) == 0.2


def test_the_table_is_bounded() -> None:
    costs = Costs()
    for width in range(MAX_ENTRIES + 10):
        costs.observe([SHAPE._replace(width=width)], 1.0)
    for _ in range(MIN_SAMPLES):
        costs.observe([SHAPE._replace(width=MAX_ENTRIES)], 1.0)
    assert costs.pack_s([SHAPE._replace(width=MAX_ENTRIES)]) == 1.0
    assert costs.pack_s([SHAPE._replace(width=0)]) == inf
