"""The board of progress: the latest word, within bounds."""

from app.core.events.base import Progress
from app.core.events.progress_board import MAX_GENERATIONS, ProgressBoard


def test_the_latest_word_counts_until_it_is_forgotten() -> None:
    board = ProgressBoard()
    assert board.fraction("g") is None
    board.note(Progress("g", 1, 4))
    board.note(Progress("g", 2, 4))
    assert board.fraction("g") == 0.5
    board.forget("g")
    board.forget("g")
    assert board.fraction("g") is None


def test_nonsense_stays_between_none_and_one() -> None:
    board = ProgressBoard()
    board.note(Progress("a", 9, 4))
    board.note(Progress("b", -9, 4))
    board.note(Progress("c", 1, 0))
    assert [board.fraction(name) for name in "abc"] == [1.0, 0.0, None]


def test_it_does_not_grow_without_end() -> None:
    board = ProgressBoard()
    for number in range(MAX_GENERATIONS + 5):
        board.note(Progress(str(number), 1, 2))
    assert board.fraction("0") is None
    assert board.fraction(str(MAX_GENERATIONS)) == 0.5
