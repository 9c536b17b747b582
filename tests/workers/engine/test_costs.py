"""Measured costs: the median holds against a slow step, unknown sizes are scaled, and groups grow only while it pays."""

from workers.engine.costs import MAX_ENTRIES, MIN_SAMPLES, Costs
from workers.engine.row import Shape

SHAPE = Shape("tiny", 128, 128, 1)


def measured(seconds_by_rows: dict[int, float]) -> Costs:
    costs = Costs()
    for num_rows, seconds in seconds_by_rows.items():
        for _ in range(MIN_SAMPLES):
            costs.observe(SHAPE, num_rows, seconds)
    return costs


def test_before_any_measurement_the_prior_counts() -> None:
    assert Costs().step_s(SHAPE, prior_s=0.7) == 0.7


def test_one_slow_step_does_not_move_the_median() -> None:
    costs = measured({1: 0.1})
    costs.observe(SHAPE, 1, 30.0)
    assert costs.step_s(SHAPE, prior_s=9.0) == 0.1


def test_a_size_that_was_never_run_is_scaled_from_the_nearest_of_its_network() -> None:
    costs = measured({1: 0.1})
    assert costs.step_s(SHAPE._replace(width=256), prior_s=9.0) == 0.2
    assert costs.step_s(SHAPE._replace(num_passes=2), prior_s=9.0) == 0.2
    assert costs.step_s(SHAPE._replace(network="other"), prior_s=9.0) == 9.0


def test_a_larger_group_is_tried_only_after_the_smaller_was_measured() -> None:
    assert Costs().best_rows(SHAPE, limit=8) == 1
    assert measured({1: 1.0}).best_rows(SHAPE, limit=8) == 2
    assert measured({1: 1.0}).best_rows(SHAPE, limit=1) == 1


def test_groups_stop_growing_at_the_knee() -> None:
    compute_bound = {1: 1.0, 2: 2.0}
    launch_bound = {1: 1.0, 2: 1.1, 3: 1.2, 4: 1.6}
    assert measured(compute_bound).best_rows(SHAPE, limit=8) == 1
    assert measured(launch_bound).best_rows(SHAPE, limit=8) == 3


def test_the_table_is_bounded() -> None:
    costs = Costs()
    for width in range(MAX_ENTRIES + 10):
        costs.observe(SHAPE._replace(width=width), 1, 1.0)
    assert costs.measured_s(SHAPE._replace(width=0)) is None
    assert costs.measured_s(SHAPE._replace(width=MAX_ENTRIES + 9)) == 1.0
