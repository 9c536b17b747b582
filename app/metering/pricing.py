"""The price of a generation: a pure function of the request and a price book. Estimate, submit and charge all come from here."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.core.ledger import MICRO_PER_CREDIT
from app.core.samplers import evaluations
from app.core.spec import GenerationSpec
from app.metering.price_book import PriceBook
from app.metering.rules import MEBIPIXEL, ByMegapixel, Line, Rule, Size, lines_of, rule_from, rule_values, total_micro

UNBILLED_ROLES = frozenset({"mask"})
"""A mask only says where: it is not a picture that a network reads."""


@dataclass(frozen=True)
class Price:
    """What one generation costs, and all that is needed to work it out again."""

    micro: int
    version: str
    inputs: dict[str, Any]
    """Rule, what it was given, and the lines that it made of it; JSON."""
    lines: tuple[Line, ...]
    input_mp: float
    """Megapixels of the pictures that were sent, to two decimals: for show, never for arithmetic."""
    output_mp: float


def price(spec: GenerationSpec, book: PriceBook) -> Price:
    """Price one generation under its public name. A name without a rule is a KeyError: the gateway starts with none."""
    rule = book.rules[spec.model]
    size = spec.width, spec.height
    pictures = [(one.width, one.height) for one in spec.inputs if one.role not in UNBILLED_ROLES]
    steps = evaluations(spec.sampler, spec.steps)  # a sampler that looks twice costs what two steps cost
    forwards = spec.further_forwards(steps)
    lines = lines_of(rule, size, steps, pictures, forwards)
    inputs = {
        "model": spec.model,
        "width": spec.width,
        "height": spec.height,
        "steps": steps,
        "further_forwards": forwards,
        "pictures": [list(one) for one in pictures],
        "rule": rule_values(rule),
        "lines": [asdict(line) for line in lines],
    }
    return Price(
        micro=total_micro(lines),
        version=book.version,
        inputs=inputs,
        lines=lines,
        input_mp=_shown_megapixels(rule, pictures),
        output_mp=_shown_megapixels(rule, [size]),
    )


def price_again(inputs: dict[str, Any]) -> int:
    """Micro-credits, worked out from what a generation's row has kept."""
    pictures = [(width, height) for width, height in inputs["pictures"]]
    size = inputs["width"], inputs["height"]
    forwards = inputs.get("further_forwards", 0)  # rows of before there were any lack it
    return total_micro(lines_of(rule_from(inputs["rule"]), size, inputs["steps"], pictures, forwards))


def credits_number(micro: int) -> float:
    """Credits as the JSON number that BFL's clients read; exact to the micro-credit at any sane amount."""
    return micro / MICRO_PER_CREDIT


def credits_text(micro: int) -> str:
    """Credits for a person: no zeros that say nothing."""
    sign = "-" if micro < 0 else ""
    whole, fraction = divmod(abs(micro), MICRO_PER_CREDIT)
    return sign + f"{whole}.{fraction:06}".rstrip("0").rstrip(".") + " credits"


def _shown_megapixels(rule: Rule, sizes: Sequence[Size]) -> float:
    megapixel = rule.megapixel if isinstance(rule, ByMegapixel) else MEBIPIXEL
    return round(sum(width * height for width, height in sizes) / megapixel, 2)
