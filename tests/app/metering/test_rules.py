"""Price rules: whole micro-credits, monotone in everything that is asked for, the same again from what a row keeps."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.metering.rules import MEBIPIXEL, ByMegapixel, Flat, Rule, lines_of, rule_from, rule_values, total_micro

micros = st.integers(0, 10**9)
sides = st.integers(1, 8192)
sizes = st.tuples(sides, sides)
steps = st.integers(1, 200)
pictures = st.lists(sizes, max_size=4)
included = st.none() | st.integers(1, 100)
caps = st.none() | st.integers(1, 8)
by_megapixel = st.builds(
    ByMegapixel,
    micros,
    micros,
    micros,
    rounding=st.sampled_from(["ceil", "exact"]),
    megapixel=st.sampled_from([MEBIPIXEL, 10**6]),
    input_each_max=caps,
    input_total_max=caps,
    included_steps=included,
)
rules = st.one_of(st.builds(Flat, micros, included), by_megapixel)


def cost(rule: Rule, size: tuple[int, int], steps: int = 1, pictures: list[tuple[int, int]] | None = None) -> int:
    return total_micro(lines_of(rule, size, steps, pictures or []))


@given(rules, sizes, sides, steps, steps, pictures, sizes)
def test_more_pixels_steps_or_pictures_never_cost_less(
    rule: Rule,
    size: tuple[int, int],
    more: int,
    few: int,
    many: int,
    sent: list[tuple[int, int]],
    another: tuple[int, int],
) -> None:
    least = cost(rule, size, min(few, many), sent)
    larger = (size[0] + more, size[1])
    assert 0 <= least <= cost(rule, size, max(few, many), sent)
    assert least <= cost(rule, larger, min(few, many), sent)
    assert least <= cost(rule, size, min(few, many), [*sent, another])


@given(by_megapixel, sizes)
def test_exact_rounding_never_exceeds_whole_megapixels(rule: ByMegapixel, size: tuple[int, int]) -> None:
    exact, ceil = replace(rule, rounding="exact"), replace(rule, rounding="ceil")
    assert cost(exact, size, pictures=[size]) <= cost(ceil, size, pictures=[size])
    whole = 1, -(-size[0] * size[1] // rule.megapixel) * rule.megapixel
    assert cost(exact, whole) == cost(ceil, whole) == cost(ceil, size)


@given(rules, sizes, steps, pictures)
def test_a_rule_is_the_same_after_json(
    rule: Rule, size: tuple[int, int], steps: int, sent: list[tuple[int, int]]
) -> None:
    assert rule_from(rule_values(rule)) == rule
    for line in lines_of(rule, size, steps, sent):
        assert line.micro >= 0
        if not isinstance(rule, ByMegapixel) or rule.rounding == "ceil":
            assert line.micro == line.quantity * line.unit_micro


def test_each_picture_counts_for_at_least_one_megapixel_and_at_most_its_cap() -> None:
    rule = ByMegapixel(10, 3, 5)
    small, large = (64, 64), (4096, 4096)
    assert cost(rule, (512, 512), pictures=[small] * 3) == 10 + 3 * 5
    assert cost(rule, (512, 512), pictures=[large]) == 10 + 4 * 5
    assert cost(rule, (512, 512), pictures=[large] * 3) == 10 + 8 * 5
    assert cost(replace(rule, input_each_max=None, input_total_max=None), (512, 512), pictures=[large]) == 10 + 16 * 5


def test_steps_above_the_included_ones_cost_their_share() -> None:
    assert cost(Flat(100, 50), (1, 1), 50) == cost(Flat(100, 50), (9, 9), 1) == 100
    assert cost(Flat(100, 50), (1, 1), 75) == 150
    assert cost(ByMegapixel(100, 100, 0, included_steps=3), (2048, 1024), 4) == 200 + 67
