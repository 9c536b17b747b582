"""The price book: a version, and a rule for each public name, in micro-credits (1 credit = 0.01 USD = 1,000,000).

A generation stores its price, this version, its rule and what the rule was given, so that an invoice line can be worked out again
years later. To change a price that ships, give the book a new version; operators have a file of their own (app.metering.price_file).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType

from app.core.ledger import MICRO_PER_CREDIT
from app.metering.rules import ByMegapixel, Flat, Rule


@dataclass(frozen=True)
class PriceBook:
    """Rules by public name, under one version."""

    version: str
    rules: Mapping[str, Rule]


def micro_of(credits: Decimal | str) -> int:
    """Micro-credits from a decimal number of credits with at most six decimals, without a float on the way."""
    return int(Decimal(credits) * MICRO_PER_CREDIT)


def _flat(credits: str) -> Flat:
    return Flat(micro_of(credits))


def _by_megapixel(first: str, further: str) -> ByMegapixel:
    """A rule from prices in credits, as BFL prints them; a megapixel of a reference costs what a further one does."""
    return ByMegapixel(micro_of(first), micro_of(further), micro_of(further))


def _own(first: str, further: str, steps: int) -> ByMegapixel:
    """A rule for what BFL does not sell: more steps than usual cost more."""
    return replace(_by_megapixel(first, further), included_steps=steps)


_PRO_2 = _by_megapixel("3", "1.5")
_KLEIN_9B = _by_megapixel("1.5", "0.2")
_KLEIN_BASE = _own("2.5", "1", 50)
_SD = _own("0.2", "0.2", 50)
_SDXL = _own("0.6", "0.4", 50)

PRICE_BOOK = PriceBook(
    version="bfl-2026-11",
    rules=MappingProxyType(
        {
            "flux-nano": _own("0.1", "0.1", 16),
            "flux-2-klein-4b": _by_megapixel("1.4", "0.1"),
            "flux-2-klein-4b-base": _KLEIN_BASE,
            "flux-2-klein-9b": _KLEIN_9B,
            "flux-2-klein-9b-base": _KLEIN_BASE,
            "flux-2-klein-9b-preview": _KLEIN_9B,
            "flux-2-dev": _own("2.5", "1", 28),
            "flux-2-flex": _by_megapixel("6", "6"),
            "flux-2-pro": _PRO_2,
            "flux-2-pro-preview": _PRO_2,
            "flux-2-max": _by_megapixel("7", "3"),
            "flux-dev": _flat("2.5"),
            "flux-schnell": _own("0.3", "0.1", 4),
            "flux-krea-dev": _own("2.5", "1", 28),
            "flux-pro": _flat("5"),
            "flux-pro-1.1": _flat("4"),
            "flux-pro-1.1-ultra": _flat("6"),
            "flux-kontext-dev": _own("2.5", "1", 28),
            "flux-kontext-pro": _flat("4"),
            "flux-kontext-max": _flat("8"),
            "flux-fill-dev": _own("2.5", "1", 50),
            "flux-pro-1.0-fill": _flat("5"),
            "flux-pro-1.0-expand": _flat("5"),
            "flux-canny-dev": _own("2.5", "1", 50),
            "flux-pro-1.0-canny": _flat("5"),
            "flux-depth-dev": _own("2.5", "1", 50),
            "flux-pro-1.0-depth": _flat("5"),
            "sd-1.5": _SD,
            "sd-1.5-inpainting": _SD,
            "sdxl": _SDXL,
            "sdxl-inpainting": _SDXL,
        }
    ),
)
"""BFL's list prices of 2026, and ours for what BFL does not sell: dev stands between klein and pro, as its size does."""
