"""What is news to a client that was told so much, and that its id says so much and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.event_marks import Heard, Mark, has_ended, id_of, marks_of, news
from app.core.events.base import Preview, Progress
from app.generations.watching import Standing

NUMBERS = st.integers(0, 10**9 - 1)
MARKS = st.builds(Mark, st.sampled_from("-qre"), NUMBERS, NUMBERS, NUMBERS)

STANDINGS = [
    Heard(Standing("queued", 0, 5)),
    Heard(Standing("queued", 0, 0)),
    Heard(Standing("running", 1)),
    Heard(Standing("running", 1), Progress("g", 2, 4)),
    Heard(Standing("running", 1), Progress("g", 3, 4), Preview("g", 2, 4, b"jpeg")),
    Heard(Standing("queued", 1, 2)),
    Heard(Standing("running", 2), Progress("g", 1, 4), Preview("g", 1, 4, b"jpeg")),
    Heard(Standing("ready", 2)),
]
NAMES = [
    ["queued"], ["queued"], ["running"], ["step"], ["step", "preview"], ["queued"], ["running", "step", "preview"], ["done"],
]  # fmt: skip


@given(st.lists(MARKS, min_size=1, max_size=10))
def test_an_id_holds_the_marks(marks: list[Mark]) -> None:
    assert marks_of(id_of(marks), len(marks)) == marks


@pytest.mark.parametrize("text", [None, "", "x", "q0.1.0", "q0.1.0_", "e1.0.0_e1.0.0_e1.0.0", "e1.0.0_z1.0.0", "_"])
def test_an_id_of_something_else_begins_anew(text: str | None) -> None:
    assert marks_of(text, 2) == [Mark(), Mark()]


def told(mark: Mark, heard: Heard) -> tuple[list[str], Mark]:
    found = list(news(mark, heard))
    return [one.name for one in found], found[-1].mark if found else mark


def test_a_row_is_told_forwards_and_nothing_twice() -> None:
    mark = Mark()
    for heard, names in zip(STANDINGS, NAMES, strict=True):
        assert told(mark, heard)[0] == names
        mark = told(mark, heard)[1]
        assert told(mark, heard) == ([], mark)
    assert has_ended([mark])


@pytest.mark.parametrize("was", range(len(STANDINGS)))
@pytest.mark.parametrize("later", range(len(STANDINGS)))
def test_whoever_comes_back_learns_where_it_stands_now(was: int, later: int) -> None:
    if later < was:
        return
    mark = Mark()
    for heard in STANDINGS[: was + 1]:
        mark = told(mark, heard)[1]
    names, mark = told(mark, STANDINGS[later])
    assert bool(names) == (later != was)
    assert told(Mark(), STANDINGS[later])[1].phase == mark.phase
    assert mark.attempt == STANDINGS[later].standing.attempt


def test_a_gateway_that_has_heard_less_tells_no_step_again() -> None:
    mark = Mark("r", 1, 3, 2)
    assert told(mark, Heard(Standing("running", 1), Progress("g", 2, 4))) == ([], mark)


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("error", "failed"),
        ("request_moderated", "failed"),
        ("content_moderated", "failed"),
        ("cancelled", "cancelled"),
        ("ready", "done"),
    ],
)
def test_each_end_has_its_event(state: str, name: str) -> None:
    assert told(Mark("q", 0, 3), Heard(Standing(state, 1)))[0] == [name]
