"""How brackets become weights: AUTOMATIC1111's rules, as closed forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UnsupportedInput
from models.text.emphasis import Part, sections

S, W = 1.1, 1 / 1.1


def parts(prompt: str) -> list[tuple[str, float]]:
    (section,) = sections(prompt)
    return [(part.text, round(part.weight, 9)) for part in section]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", []),
        ("plain words, no marks: none", [("plain words, no marks: none", 1)]),
        ("a (word) b", [("a ", 1), ("word", S), (" b", 1)]),
        ("((word))", [("word", S * S)]),
        ("(word:1.3)", [("word", 1.3)]),
        ("(word: .5 )", [("word", 0.5)]),
        ("(word:-1)", [("word", -1)]),
        ("(word:+2.)", [("word", 2)]),
        ("[word]", [("word", W)]),
        ("[[word]]", [("word", W * W)]),
        ("[(word)]", [("word", 1)]),
        ("(a (b:2) c)", [("a ", S), ("b", 2 * S), (" c", S)]),
        (r"\(word\) \[x\] \\", [(r"(word) [x] \ "[:-1], 1)]),
        (r"(a\):2)", [("a)", 2)]),
        (r"back\slash", [(r"back\slash", 1)]),
        # Brackets that do not match.
        ("(word", [("word", S)]),
        ("a [word (x", [("a ", 1), ("word ", W), ("x", W * S)]),
        ("word) and ] more", [("word) and ] more", 1)]),
        ("word:1.3)", [("word:1.3)", 1)]),
        ("[word:1.3]", [("word:1.3", W)]),
        ("(word:1.2.3)", [("word:1.2.3", S)]),
        ("(ratio 3:2)", [("ratio 3", 2)]),
        ("(at 3:2 now)", [("at 3:2 now", S)]),
        ("()", []),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky).",
            [
                ("a ", 1),
                ("house", 1.3 * S**2),
                (" ", S),
                ("on", 1),
                (" a ", S),
                ("hill", 0.5 * S),
                (", sun, ", S),
                ("sky", S**4),
                (".", S**3),
            ],
        ),
    ],
)
def test_weights(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert parts(prompt) == [(text, round(weight, 9)) for text, weight in expected]


def test_break_parts_sections_inside_brackets_too() -> None:
    assert sections("a BREAK b") == ((Part("a", 1),), (Part("b", 1),))
    assert sections("(a BREAK b:2)") == ((Part("a", 2),), (Part("b", 2),))
    assert sections("BREAK") == ((), ())
    assert sections("BREAKFAST, break") == ((Part("BREAKFAST, break", 1),),)


@pytest.mark.parametrize("prompt", ["(a:11)", "(a:-10.5)", "(" * 30 + "a", "(a:1" + "0" * 400 + ")"])
def test_weights_beyond_reason_are_refused_with_the_words_and_the_limit(prompt: str) -> None:
    with pytest.raises(UnsupportedInput, match=r"'a'.*-10 to 10"):
        sections(prompt)


@given(st.text(alphabet="ab ,:1.", max_size=40))
def test_text_without_brackets_is_itself(prompt: str) -> None:
    assert "".join(part.text for part in sections(prompt)[0]) == prompt


@given(st.text(alphabet=r"ab()[]\: 2", max_size=24))
def test_anything_is_read(prompt: str) -> None:
    (section,) = sections(prompt)
    assert all(part.text for part in section)
