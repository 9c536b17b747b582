"""The scheduler against a hand-moved clock, and against the best of all orders on small cases."""

from dataclasses import replace
from functools import cache

import pytest

from workers.engine.row import Shape
from workers.engine.scheduler import Candidate, Opening, Scheduler

SMALL = Shape("tiny", 64, 64, 1)
LARGE = Shape("tiny", 512, 512, 1)


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


def one(shape: Shape) -> int:
    return 1


def four(shape: Shape) -> int:
    return 4


def names(rows: list[Candidate]) -> list[str]:
    return [picked.key[0] for picked in rows]


def test_an_idle_engine_picks_nothing() -> None:
    assert Scheduler().pick([], 0.0, one) == []


def test_the_shortest_goes_first() -> None:
    assert names(Scheduler().pick([row("long", 28.0), row("short", 4.0)], 0.0, one)) == ["short"]


def test_waiting_long_enough_beats_being_short() -> None:
    scheduler = Scheduler(ageing=0.1)
    old, new = row("old", 28.0, at=0.0), row("new", 4.0, at=250.0)
    assert names(scheduler.pick([old, replace(new, arrived_at_s=239.0)], 250.0, one)) == ["new"]
    assert names(scheduler.pick([old, new], 250.0, one)) == ["old"]


def test_a_row_is_overtaken_only_by_rows_that_arrive_within_its_work_over_ageing() -> None:
    scheduler = Scheduler(ageing=0.05)
    long = row("long", 10.0, at=0.0)
    for arrival in (0.0, 50.0, 199.0):
        assert names(scheduler.pick([long, row("new", 0.01, at=arrival)], arrival, one)) == ["new"]
    assert names(scheduler.pick([long, row("new", 0.01, at=201.0)], 201.0, one)) == ["long"]


def test_a_deadline_that_is_near_goes_first_and_one_that_cannot_be_met_does_not() -> None:
    scheduler = Scheduler(deadline_margin=1.5)
    short, due = row("short", 1.0), row("due", 10.0, deadline=100.0)
    assert names(scheduler.pick([short, due], 84.0, one)) == ["short"]
    assert names(scheduler.pick([short, due], 86.0, one)) == ["due"]
    assert names(scheduler.pick([short, due], 91.0, one)) == ["short"]


def test_a_class_goes_before_every_lower_one() -> None:
    batch = row("batch", 1.0, priority=1, deadline=1.2)
    assert names(Scheduler().pick([batch, row("paid", 100.0)], 0.0, one)) == ["paid"]


def test_a_row_that_waits_moves_up_one_class_at_a_time() -> None:
    scheduler = Scheduler(class_ageing_s=20.0)
    free, anonymous = row("free", 1.0, priority=1), row("anonymous", 0.5, priority=2)
    for now_s, expected in ((19.0, "paid"), (21.0, "free"), (41.0, "anonymous")):
        present = [free, anonymous, row("paid", 9.0, at=now_s)]
        assert names(scheduler.pick(present, now_s, one)) == [expected]


def test_what_has_moved_up_is_not_displaced_by_the_class_it_has_reached() -> None:
    scheduler = Scheduler(window=1, class_ageing_s=20.0)
    free = row("free", 5.0, priority=1)
    young, old = scheduler.opening([free], 10.0), scheduler.opening([free], 30.0)
    assert young is not None
    assert old is not None
    assert (young.priority, old.priority) == (1, 0)


def test_equals_run_together_as_far_as_it_pays() -> None:
    rows = [row(str(n), 5.0 + n) for n in range(6)] + [row("big", 9.0, shape=LARGE), row("batch", 6.0, priority=1)]
    assert names(Scheduler().pick(rows, 0.0, four)) == ["0", "1", "2", "3"]
    assert names(Scheduler().pick(rows, 0.0, lambda shape: 8)) == ["0", "1", "2", "3", "4", "5"]


def test_a_row_that_must_run_alone_has_no_company() -> None:
    alone = replace(row("alone", 1.0), is_alone=True)
    assert names(Scheduler().pick([alone, row("a", 2.0), row("b", 3.0)], 0.0, four)) == ["alone"]
    assert names(Scheduler().pick([replace(alone, work_left_s=2.5), row("a", 2.0), row("b", 3.0)], 0.0, four)) == [
        "a",
        "b",
    ]


def simulate(scheduler: Scheduler, jobs: list[tuple[int, int]]) -> int:
    """Sum of completion times of jobs (arrival, steps) of one second a step, the scheduler asked at each step."""
    left, total, now = dict(enumerate(steps for _, steps in jobs)), 0, 0
    while left:
        present = [row(str(n), float(steps), at=float(jobs[n][0])) for n, steps in left.items() if jobs[n][0] <= now]
        now += 1
        for picked in names(scheduler.pick(present, float(now - 1), one)):
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
