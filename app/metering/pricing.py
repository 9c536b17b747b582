"""The price of a generation: a pure function of the request and a price book."""

from dataclasses import dataclass

from app.core.ledger import MICRO_PER_CREDIT
from app.core.spec import GenerationSpec
from app.metering.price_book import MEBIPIXEL, FirstMegapixel, Flat, PriceBook, Rule


@dataclass(frozen=True)
class Price:
    """What one generation costs, and all that is needed to work it out again."""

    micro: int
    version: str
    inputs: dict[str, int | str]
    input_mp: float
    """Megapixels of the references, to two decimals: for show, never for arithmetic."""
    output_mp: float


def price(spec: GenerationSpec, book: PriceBook, *, input_pixels: int = 0) -> Price:
    """Price one generation under its public name. A name without a rule is a KeyError: a test holds the book complete."""
    rule = book.rules[spec.model]
    pixels = spec.width * spec.height
    return Price(
        micro=charge_micro(rule, pixels, input_pixels),
        version=book.version,
        inputs={"model": spec.model, "width": spec.width, "height": spec.height, "input_pixels": input_pixels},
        input_mp=_shown_megapixels(rule, input_pixels),
        output_mp=_shown_megapixels(rule, pixels),
    )


def charge_micro(rule: Rule, pixels: int, input_pixels: int = 0) -> int:
    """Micro-credits for one image of `pixels` made from references of `input_pixels` in all."""
    match rule:
        case Flat():
            return rule.image_micro
        case FirstMegapixel():
            further = _share(rule, max(0, pixels - rule.megapixel), rule.further_micro)
            return rule.first_micro + further + _share(rule, input_pixels, rule.input_micro)


def credits_number(micro: int) -> float:
    """Credits as the JSON number that BFL's clients read; exact to the micro-credit at any sane amount."""
    return micro / MICRO_PER_CREDIT


def credits_text(micro: int) -> str:
    """Credits for a person: no zeros that say nothing."""
    whole, fraction = divmod(micro, MICRO_PER_CREDIT)
    return f"{whole}.{fraction:06}".rstrip("0").rstrip(".") + " credits"


def _share(rule: FirstMegapixel, pixels: int, micro: int) -> int:
    """Price of these pixels at `micro` a megapixel, in whole megapixels or rounded up to the next micro-credit."""
    if rule.rounding == "ceil":
        return _ceil_div(pixels, rule.megapixel) * micro
    return _ceil_div(pixels * micro, rule.megapixel)


def _shown_megapixels(rule: Rule, pixels: int) -> float:
    megapixel = rule.megapixel if isinstance(rule, FirstMegapixel) else MEBIPIXEL
    return round(pixels / megapixel, 2)


def _ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)
