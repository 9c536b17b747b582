"""Price rules: pure functions from sizes and steps to micro-credits, line by line. Which name has which rule is the price book's.

Every amount is an integer; what does not divide is rounded up to the next micro-credit.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

MEBIPIXEL = 1 << 20

Rounding = Literal["ceil", "exact"]
Item = Literal[
    "image", "first_megapixel", "further_megapixels", "input_megapixels", "further_steps", "further_forwards"
]
FORWARDS_A_STEP = 2
"""Of a network that is guided: one for the prompt, one for the negative prompt. A forward beyond them costs that share of a step."""
Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Flat:
    """One price an image, whatever its size and whatever pictures it is made from.

    Each step above `included_steps` adds that share of the price, and each forward beyond a step's own a part of it; None: steps
    and forwards cost nothing.
    """

    image_micro: int
    included_steps: int | None = None


@dataclass(frozen=True)
class ByMegapixel:
    """The first megapixel of an image at one price, each further one at another, those of pictures that were sent at a third.

    Attributes:
        rounding: whether a started megapixel counts in full ("ceil", for each picture by itself) or by its pixels ("exact"; the
            image still has its first one in full).
        megapixel: pixels in a billed megapixel.
        input_each_max: megapixels that one sent picture counts for at most.
        input_total_max: megapixels that all sent pictures count for at most.
        included_steps: each step above adds that share of the price, and each forward beyond a step's own a part of it; None: steps
            and forwards cost nothing.
    """

    first_micro: int
    further_micro: int
    input_micro: int
    rounding: Rounding = "ceil"
    megapixel: int = MEBIPIXEL
    input_each_max: int | None = 4
    input_total_max: int | None = 8
    included_steps: int | None = None


Rule = Flat | ByMegapixel


@dataclass(frozen=True)
class Line:
    """One line of a price: so many at so much each. `quantity` is for show where `rounding` is exact; `micro` is what counts."""

    item: Item
    quantity: float
    unit_micro: int
    micro: int


def lines_of(
    rule: Rule, size: Size, steps: int, pictures: Sequence[Size] = (), further_forwards: int = 0
) -> tuple[Line, ...]:
    """What one image of this size costs, in so many steps, made from these pictures, with forwards beyond the steps' own."""
    match rule:
        case Flat():
            lines = [Line("image", 1, rule.image_micro, rule.image_micro)]
        case ByMegapixel():
            lines = _by_megapixel(rule, size, pictures)
    price_micro = sum(line.micro for line in lines)
    more = (
        *_further_steps(rule.included_steps, steps, price_micro),
        *_further_forwards(rule.included_steps, further_forwards, price_micro),
    )
    return (*lines, *more)


def total_micro(lines: Sequence[Line]) -> int:
    return sum(line.micro for line in lines)


def rule_values(rule: Rule) -> dict[str, Any]:
    """A rule as JSON keeps it, so that a price can be worked out again when no file has it any more."""
    return {"kind": "flat" if isinstance(rule, Flat) else "by_megapixel", **asdict(rule)}


def rule_from(values: dict[str, Any]) -> Rule:
    """The other way round."""
    fields = {name: value for name, value in values.items() if name != "kind"}
    return Flat(**fields) if values["kind"] == "flat" else ByMegapixel(**fields)


def _by_megapixel(rule: ByMegapixel, size: Size, pictures: Sequence[Size]) -> list[Line]:
    width, height = size
    lines = [Line("first_megapixel", 1, rule.first_micro, rule.first_micro)]
    further = max(0, width * height - rule.megapixel)
    lines.append(_share("further_megapixels", rule, _counted(rule, further), rule.further_micro))
    each = [_capped(_counted(rule, wide * high), rule.input_each_max, rule) for wide, high in pictures]
    lines.append(_share("input_megapixels", rule, _capped(sum(each), rule.input_total_max, rule), rule.input_micro))
    return [line for line in lines if line.quantity]


def _counted(rule: ByMegapixel, pixels: int) -> int:
    """Pixels that are billed: all of every megapixel that was begun, or just these."""
    return _ceil_div(pixels, rule.megapixel) * rule.megapixel if rule.rounding == "ceil" else pixels


def _capped(pixels: int, most: int | None, rule: ByMegapixel) -> int:
    return pixels if most is None else min(pixels, most * rule.megapixel)


def _share(item: Item, rule: ByMegapixel, pixels: int, unit_micro: int) -> Line:
    return Line(item, pixels / rule.megapixel, unit_micro, _ceil_div(pixels * unit_micro, rule.megapixel))


def _further_steps(included: int | None, steps: int, price_micro: int) -> tuple[Line, ...]:
    if included is None or steps <= included:
        return ()
    each = _ceil_div(price_micro, included)
    return (Line("further_steps", steps - included, each, (steps - included) * each),)


def _further_forwards(included: int | None, forwards: int, price_micro: int) -> tuple[Line, ...]:
    if included is None or not forwards:
        return ()
    each = _ceil_div(price_micro, included * FORWARDS_A_STEP)
    return (Line("further_forwards", forwards, each, forwards * each),)


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)
