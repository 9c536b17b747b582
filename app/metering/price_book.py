"""The price book: versioned, table-driven rules by public name, in micro-credits (1 credit = 0.01 USD = 1,000,000).

A generation stores its price, this version and the inputs of the formula, so that an invoice line can be recomputed years
later. To change a price, append a book with a new version; never edit one that has charged somebody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from app.core.ledger import MICRO_PER_CREDIT

MEBIPIXEL = 1 << 20


@dataclass(frozen=True)
class Flat:
    """One price an image, whatever its size."""

    image_micro: int


@dataclass(frozen=True)
class FirstMegapixel:
    """At least one megapixel at `first_micro`, further ones at `further_micro`, those of references at `input_micro`.

    `rounding` says whether a started megapixel counts in full ("ceil") or by its pixels ("exact").
    """

    first_micro: int
    further_micro: int
    input_micro: int
    rounding: Literal["ceil", "exact"] = "ceil"
    megapixel: int = MEBIPIXEL
    """Pixels in a billed megapixel."""


Rule = Flat | FirstMegapixel


@dataclass(frozen=True)
class PriceBook:
    """Rules by public name, under one version."""

    version: str
    rules: Mapping[str, Rule]


def _by_megapixel(first: str, further: str) -> FirstMegapixel:
    """A rule from prices in credits, as BFL prints them; a reference costs what a further megapixel does."""
    return FirstMegapixel(_micro(first), _micro(further), _micro(further))


def _flat(credits: str) -> Flat:
    """One price an image, from credits."""
    return Flat(_micro(credits))


def _micro(credits: str) -> int:
    """Micro-credits from a decimal number of credits, without a float on the way."""
    whole, _, fraction = credits.partition(".")
    return int(whole) * MICRO_PER_CREDIT + int(fraction.ljust(6, "0"))


_PRO = _by_megapixel("3", "1.5")
_KLEIN_9B = _by_megapixel("1.5", "0.2")
_FLUX1_DEV = _flat("2.5")

PRICE_BOOK = PriceBook(
    version="2026-11",
    rules=MappingProxyType(
        {
            "flux-nano": _by_megapixel("0.1", "0.1"),
            "flux-2-klein-4b": _by_megapixel("1.4", "0.1"),
            "flux-2-klein-9b": _KLEIN_9B,
            "flux-2-klein-9b-preview": _KLEIN_9B,
            "flux-2-pro": _PRO,
            "flux-2-pro-preview": _PRO,
            "flux-2-max": _by_megapixel("7", "3"),
            "flux-2-flex": _by_megapixel("6", "6"),
            # BFL hosts no dev; it stands between klein and pro, as its size does.
            "flux-2-dev": _by_megapixel("2.5", "1"),
            "flux-2-klein-4b-base": _by_megapixel("2.5", "1"),
            "flux-2-klein-9b-base": _by_megapixel("2.5", "1"),
            "flux-pro-1.1": _flat("4"),
            "flux-pro-1.1-ultra": _flat("6"),
            "flux-kontext-pro": _flat("4"),
            "flux-kontext-max": _flat("8"),
            "flux-pro-1.0-fill": _flat("5"),
            "flux-pro-1.0-expand": _flat("5"),
            "flux-pro-1.0-canny": _flat("5"),
            "flux-pro-1.0-depth": _flat("5"),
            "flux-pro": _flat("5"),
            "flux-dev": _FLUX1_DEV,
            # Ours: what the weights of dev cost, and a tenth of their steps for schnell.
            "flux-krea-dev": _FLUX1_DEV,
            "flux-kontext-dev": _FLUX1_DEV,
            "flux-fill-dev": _FLUX1_DEV,
            "flux-canny-dev": _FLUX1_DEV,
            "flux-depth-dev": _FLUX1_DEV,
            "flux-schnell": _flat("0.3"),
        }
    ),
)
"""BFL's list prices of 2026, and ours for what BFL does not sell."""
