"""The scheduler against a hand-moved clock, and against the best of all orders on small cases."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine.costs import MIN_SAMPLES, Costs
from workers.engine.row import Shape
from workers.engine.scheduler import Candidate, Opening, Scheduler

SMALL = Shape("tiny", 64, 64, 1)
LARGE = Shape("tiny", 512, 512, 1)
Jobs = list[tuple[Shape, int]]
"""Shape and steps of each."""


def row(
    name: str,
    work_left_s: float,
    at: float = 0.0,
    *,
    shape: Shape = SMALL,
    priority: int = 0,
    deadline: float = 1e9,
    begun: bool = False,
) -> Candidate:
    return Candidate((name, 1), shape, priority, work_left_s, work_left_s, at, deadline, begun)


def one_by_one(shapes: Sequence[Shape]) -> float:
    """Rows together cost what they cost one after another."""
    return sum(1.0 if shape == SMALL else 10.0 for shape in shapes)


def launch_bound(shapes: Sequence[Shape]) -> float:
    """Half of a small row's step is shared by all rows of a forward."""
    return 0.5 + one_by_one(shapes) - 0.5 * len(shapes)


def names(rows: list[Candidate]) -> list[str]:
    return [picked.key[0] for picked in rows]


def test_an_idle_engine_picks_nothing() -> None:
    assert Scheduler().pick([], 0.0, one_by_one) == []


def test_the_shortest_goes_first() -> None:
    assert names(Scheduler().pick([row("long", 28.0), row("short", 4.0)], 0.0, one_by_one)) == ["short"]


def test_waiting_long_enough_beats_being_short() -> None:
    scheduler = Scheduler(ageing=0.1)
    old, new = row("old", 28.0, at=0.0), row("new", 4.0, at=250.0)
    assert names(scheduler.pick([old, replace(new, arrived_at_s=239.0)], 250.0, one_by_one)) == ["new"]
    assert names(scheduler.pick([old, new], 250.0, one_by_one)) == ["old"]


def test_a_row_is_overtaken_only_by_rows_that_arrive_within_its_work_over_ageing() -> None:
    scheduler = Scheduler(ageing=0.05)
    long = row("long", 10.0, at=0.0)
    for arrival in (0.0, 50.0, 199.0):
        assert names(scheduler.pick([long, row("new", 0.01, at=arrival)], arrival, one_by_one)) == ["new"]
    assert names(scheduler.pick([long, row("new", 0.01, at=201.0)], 201.0, one_by_one)) == ["long"]


def test_a_deadline_that_is_near_goes_first_and_one_that_cannot_be_met_does_not() -> None:
    scheduler = Scheduler(deadline_margin=1.5)
    short, due = row("short", 1.0), row("due", 10.0, deadline=100.0)
    assert names(scheduler.pick([short, due], 84.0, one_by_one)) == ["short"]
    assert names(scheduler.pick([short, due], 86.0, one_by_one)) == ["due"]
    assert names(scheduler.pick([short, due], 91.0, one_by_one)) == ["short"]


def test_a_class_goes_before_every_lower_one() -> None:
    batch = row("batch", 1.0, priority=1, deadline=1.2)
    assert names(Scheduler().pick([batch, row("paid", 100.0)], 0.0, one_by_one)) == ["paid"]


def test_a_row_that_waits_moves_up_one_class_at_a_time() -> None:
    scheduler = Scheduler(class_ageing_s=20.0)
    free, anonymous = row("free", 1.0, priority=1), row("anonymous", 0.5, priority=2)
    for now_s, expected in ((19.0, "paid"), (21.0, "free"), (41.0, "anonymous")):
        present = [free, anonymous, row("paid", 9.0, at=now_s)]
        assert names(scheduler.pick(present, now_s, one_by_one)) == [expected]


def test_what_has_moved_up_is_not_displaced_by_the_class_it_has_reached() -> None:
    scheduler = Scheduler(window=1, class_ageing_s=20.0)
    free = row("free", 5.0, priority=1)
    young, old = scheduler.opening([free], 10.0), scheduler.opening([free], 30.0)
    assert young is not None
    assert old is not None
    assert (young.priority, old.priority) == (1, 0)


def test_where_packing_saves_nothing_rows_run_one_after_another() -> None:
    rows = [row(str(n), 5.0 + n) for n in range(6)] + [row("big", 9.0, shape=LARGE)]
    assert names(Scheduler().pick(rows, 0.0, one_by_one)) == ["0"]


def test_rows_join_in_their_order_whatever_their_shapes_where_it_pays() -> None:
    rows = [row(str(n), 5.0 + n) for n in range(3)] + [row("big", 9.0, shape=LARGE), row("batch", 6.0, priority=1)]
    free = Scheduler().pick(rows, 0.0, lambda shapes: 10.0)
    assert names(free) == ["0", "1", "2", "big"]
    assert names(Scheduler(max_rows=2).pick(rows, 0.0, lambda shapes: 10.0)) == ["0", "1"]
    assert names(Scheduler(max_rows=1).pick(rows, 0.0, lambda shapes: 10.0)) == ["0"]


def test_a_long_step_does_not_join_a_short_one() -> None:
    rows = [row("a", 5.0), row("big", 9.0, shape=LARGE), row("b", 10.0)]
    assert names(Scheduler().pick(rows, 0.0, launch_bound)) == ["a", "b"]


def test_company_that_was_never_measured_is_tried_with_one_row_more_at_a_time() -> None:
    rows = [row(str(n), 5.0 + n) for n in range(4)]
    costs = Costs()
    sizes: list[int] = []
    for _ in range(4 * MIN_SAMPLES):
        picked = Scheduler().pick(rows, 0.0, costs.pack_s)
        costs.observe([one.shape for one in picked], 1.0)
        sizes.append(len(picked))
    assert sizes == [count for count in (1, 2, 3, 4) for _ in range(MIN_SAMPLES)]


def test_rows_of_another_network_or_without_haste_stay_away_from_a_pressing_one() -> None:
    pressing, other = row("pressing", 10.0, deadline=12.0), row("other", 1.0)
    assert names(Scheduler().pick([pressing, other], 0.0, lambda shapes: 1.0)) == ["pressing"]
    foreign = row("foreign", 2.0, shape=SMALL._replace(network="another"))
    assert names(Scheduler().pick([other, foreign], 0.0, lambda shapes: 1.0)) == ["other"]


def test_a_row_that_must_run_alone_has_no_company() -> None:
    alone = replace(row("alone", 1.0), is_alone=True)
    others = [row("a", 2.0), row("b", 3.0)]
    assert names(Scheduler().pick([alone, *others], 0.0, lambda shapes: 1.0)) == ["alone"]
    later = replace(alone, work_left_s=2.5)
    assert names(Scheduler().pick([later, *others], 0.0, lambda shapes: 1.0)) == ["a", "b"]


def pack_seconds(shared: float) -> Callable[[Sequence[Shape]], float]:
    """Of every row's step, this share is paid once for all rows of a forward."""
    return lambda shapes: max(one_by_one([shape]) for shape in shapes) * shared + (1 - shared) * one_by_one(shapes)


def packed(scheduler: Scheduler, jobs: Jobs, pack_s: Callable[[Sequence[Shape]], float]) -> float:
    """Sum of completion times, the scheduler asked at each step."""
    left, total_s = {n: steps for n, (_, steps) in enumerate(jobs)}, 0.0
    while left:
        rows = [row(str(n), steps * one_by_one([jobs[n][0]]), shape=jobs[n][0]) for n, steps in left.items()]
        picked = [int(name) for name in names(scheduler.pick(rows, 0.0, pack_s))]
        total_s += len(left) * pack_s([jobs[n][0] for n in picked])
        left = {n: steps - (n in picked) for n, steps in left.items() if steps > (n in picked)}
    return total_s


def best_packed(jobs: Jobs, pack_s: Callable[[Sequence[Shape]], float]) -> float:
    """The least sum over every choice of rows for every step."""

    @cache
    def best(left: tuple[int, ...]) -> float:
        present = [n for n, steps in enumerate(left) if steps]
        sets = [chosen for size in range(1, len(present) + 1) for chosen in combinations(present, size)]
        if not sets:
            return 0.0
        return min(
            len(present) * pack_s([jobs[n][0] for n in chosen])
            + best(tuple(steps - (n in chosen) for n, steps in enumerate(left)))
            for chosen in sets
        )

    return best(tuple(steps for _, steps in jobs))


@given(
    st.lists(st.tuples(st.sampled_from([SMALL, LARGE]), st.integers(1, 4)), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.1, 0.5, 0.9]),
)
@settings(max_examples=60, deadline=None)
def test_packs_come_close_to_the_best_of_all_choices(jobs: Jobs, shared: float) -> None:
    pack_s = pack_seconds(shared)
    ours = packed(Scheduler(ageing=0.0, newcomers=0), jobs, pack_s)
    assert ours <= 1.15 * best_packed(jobs, pack_s)
    assert ours <= packed(Scheduler(ageing=0.0, max_rows=1), jobs, pack_s) + 1e-9


def simulate(scheduler: Scheduler, jobs: list[tuple[int, int]]) -> int:
    """Sum of completion times of jobs (arrival, steps) of one second a step, the scheduler asked at each step."""
    left, total, now = dict(enumerate(steps for _, steps in jobs)), 0, 0
    while left:
        present = [row(str(n), float(steps), at=float(jobs[n][0])) for n, steps in left.items() if jobs[n][0] <= now]
        now += 1
        for picked in names(scheduler.pick(present, float(now - 1), one_by_one)):
            left[int(picked)] -= 1
            if not left[int(picked)]:
                del left[int(picked)]
                total += now
    return total


def optimum(jobs: list[tuple[int, int]]) -> int:
    """The least sum of completion times over every way to spend every second."""

    @cache
    def best(now: int, left: tuple[int, ...]) -> int:
        if not any(left):
            return 0
        present = [n for n, steps in enumerate(left) if steps and jobs[n][0] <= now]
        if not present:
            return best(now + 1, left)
        outcomes: list[int] = []
        for n in present:
            after = (*left[:n], left[n] - 1, *left[n + 1 :])
            outcomes.append(best(now + 1, after) + (now + 1 if not after[n] else 0))
        return min(outcomes)

    return best(0, tuple(steps for _, steps in jobs))


@pytest.mark.parametrize(
    "jobs",
    [
        [(0, 4), (0, 2), (0, 3)],
        [(0, 6), (1, 2), (2, 1), (3, 4)],
        [(0, 5), (4, 1), (4, 2), (9, 3), (9, 1)],
        [(2, 3), (2, 3), (2, 3), (0, 8)],
    ],
)
def test_without_ageing_no_order_has_a_smaller_mean_latency(jobs: list[tuple[int, int]]) -> None:
    assert simulate(Scheduler(ageing=0.0), jobs) == optimum(jobs)


def test_a_window_with_room_takes_anything() -> None:
    scheduler, rows = Scheduler(window=3), [row("a", 1.0), row("b", 2.0)]
    assert scheduler.room(rows) == 1
    assert scheduler.opening(rows, 0.0) is None
    assert scheduler.surplus(rows, 0.0) == []


def test_a_full_window_opens_for_what_is_ahead_of_its_last_unstarted_row() -> None:
    rows = [row("running", 50.0, begun=True), row("near", 2.0), row("far", 20.0)]
    assert Scheduler(window=3).opening(rows, 0.0) == Opening(0, 20.0)


def test_the_least_urgent_unstarted_row_leaves_for_a_shorter_one_and_is_not_let_in_again() -> None:
    scheduler = Scheduler(window=3)
    rows = [row("running", 50.0, begun=True), row("near", 2.0), row("far", 20.0), row("short", 1.0)]
    assert scheduler.surplus(rows, 0.0) == [("far", 1)]
    opening = scheduler.opening([r for r in rows if r.key[0] != "far"], 0.0)
    assert opening is not None
    assert opening.shorter_than_s <= 20.0


def test_a_short_row_gets_in_beside_begun_ones_and_stays() -> None:
    scheduler = Scheduler(window=2)
    begun = [row("a", 50.0, begun=True), row("b", 40.0, begun=True)]
    assert scheduler.opening(begun, 0.0) == Opening(0, 50.0)
    assert scheduler.surplus([*begun, row("short", 1.0)], 0.0) == []
    assert scheduler.surplus([*begun, row("short", 1.0), row("shorter", 0.5)], 0.0) == [("short", 1)]


def test_having_waited_keeps_a_place_in_the_window() -> None:
    scheduler = Scheduler(window=2, ageing=0.1)
    opening = scheduler.opening([row("a", 5.0, at=0.0), row("b", 30.0, at=0.0)], 280.0)
    assert opening is not None
    assert opening.shorter_than_s == pytest.approx(2.0)


def test_a_suspect_waits_for_what_has_begun_and_then_runs_to_its_end_with_no_other_begun() -> None:
    suspect = replace(row("suspect", 3.0), is_suspect=True)
    other, begun, shorter = row("other", 9.0), row("begun", 20.0, begun=True), row("shorter", 1.0)

    def picked(*rows: Candidate) -> list[str]:
        return names(Scheduler().pick(rows, 0.0, lambda shapes: 1.0))

    assert picked(suspect, other, begun) == ["begun"]
    assert picked(suspect, other) == ["suspect"]
    assert picked(replace(suspect, has_begun=True), other, shorter) == ["suspect"]
    assert picked(suspect, shorter, other) == ["shorter", "other"]
    second = replace(row("second", 4.0), is_suspect=True)
    assert picked(replace(suspect, has_begun=True), second) == ["suspect"]
    assert picked(second) == ["second"]


def test_a_row_whose_weights_do_not_fit_holds_others_back_only_once_it_is_the_most_urgent() -> None:
    large = replace(row("large", 3.0), has_room=False)
    begun, shorter, longer = row("begun", 20.0, begun=True), row("shorter", 1.0), row("longer", 9.0)

    def picked(*rows: Candidate) -> list[str]:
        return names(Scheduler(max_rows=1).pick(rows, 0.0, one_by_one))

    assert picked(large, begun, shorter) == ["shorter"]
    assert picked(large, begun, longer) == ["begun"]
    assert picked(replace(large, has_room=True), longer) == ["large"]
