"""The built-in words: each category up to its tolerance, whole words only, whatever the letters look like."""

from pathlib import Path

import pytest

from app.core.errors import ConfigurationError
from app.moderation.keywords import Category, KeywordPolicy, read_categories
from app.moderation.verdict import Verdict, clamped

POLICY = KeywordPolicy()
TOLERANCES = range(7)


def reasons(prompt: str, tolerance: int = 2) -> tuple[str, ...]:
    return POLICY.verdict(prompt, tolerance).reasons


@pytest.mark.parametrize(
    ("text", "category", "up_to"),
    [
        ("a nude figure on a beach", "Sexual Content", 4),
        ("the aftermath of a beheading", "Graphic Violence", 2),
        ("a note about suicide", "Self-Harm", 3),
        ("a naked child", "Child Sexual Abuse", 6),
    ],
)
def test_a_category_is_blocked_up_to_its_tolerance_and_no_further(text: str, category: str, up_to: int) -> None:
    assert [tolerance for tolerance in TOLERANCES if category in reasons(text, tolerance=tolerance)] == [
        *range(up_to + 1)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a red apple",
        "children at play",
        "Essex in spring",
        "a babysitter",
        "sextant and compass",
        "a kidney bean",
        "",
        "Middlesex, 1880",
    ],
)
def test_other_words_pass_at_every_tolerance(text: str) -> None:
    assert not any(reasons(text, tolerance=tolerance) for tolerance in TOLERANCES)


@pytest.mark.parametrize(
    "text",
    [
        "NUDE",
        "n\u00fade",
        "\uff4e\uff55\uff44\uff45",
        "nu\u200bde",
        "sexually\nexplicit",
        "sexually-explicit",
        "(nude)",
    ],
)
def test_letters_that_only_look_other_are_the_same(text: str) -> None:
    assert "Sexual Content" in reasons(text)


def test_words_of_the_operators_own_take_their_place(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text('[{"name": "Rivals", "up_to": 6, "words": ["acme corp"]}]')
    policy = KeywordPolicy(read_categories(path))
    assert policy.verdict("the logo of ACME  Corp", 6) == Verdict(("Rivals",))
    assert not policy.verdict("a nude figure", 0).is_blocked


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '[{"name": "x"}]',
        '[{"name": "x", "up_to": 7, "words": ["a"]}]',
        '[{"name": "x", "up_to": 1, "words": []}]',
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "words.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"words\.json"):
        read_categories(path)
    with pytest.raises(ConfigurationError, match="nowhere"):
        read_categories(tmp_path / "nowhere")


def test_a_verdict_survives_its_row_and_a_tolerance_its_range() -> None:
    verdict = POLICY.verdict("a naked child", 0)
    assert Verdict.from_text(verdict.to_text()) == verdict == Verdict(("Child Sexual Abuse", "Sexual Content"))
    assert Verdict.from_text("") == Verdict()
    assert [clamped(one) for one in (None, -1, 0, 6, 7)] == [2, 0, 0, 6, 6]


def test_categories_have_different_names() -> None:
    with pytest.raises(ValueError, match="up_to"):
        Category(name="x", up_to=9, words=("a",))
