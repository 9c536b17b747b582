"""The operator's own prices: a TOML or JSON file over the book that ships, checked before anybody is served."""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from app.core.errors import ConfigurationError
from app.metering.price_book import PRICE_BOOK, PriceBook, micro_of
from app.metering.rules import MEBIPIXEL, ByMegapixel, Flat, Rounding, Rule

MAX_CREDITS = 1_000_000
MAX_VERSION_CHARS = 23
DIGEST_CHARS = 8
"""Of the file's content, behind its version: two contents under one version are told apart."""

Credits = Annotated[Decimal, Field(ge=0, le=MAX_CREDITS, decimal_places=6, allow_inf_nan=False)]
Steps = Annotated[int, Field(ge=1, le=1000)]
Megapixels = Annotated[int, Field(ge=1, le=1000)]
Pixels = Annotated[int, Field(ge=1, le=1 << 26)]


class _Part(BaseModel, defer_build=True):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _FlatEntry(_Part):
    image: Credits
    included_steps: Steps | None = None

    def rule(self, defaults: "_File") -> Rule:
        return Flat(micro_of(self.image), self.included_steps)


class _MegapixelEntry(_Part):
    first: Credits
    further: Credits
    input: Credits
    rounding: Rounding | None = None
    megapixel: Pixels | None = None
    input_each_max: Megapixels | Literal["none"] = 4
    input_total_max: Megapixels | Literal["none"] = 8
    included_steps: Steps | None = None

    def rule(self, defaults: "_File") -> Rule:
        return ByMegapixel(
            first_micro=micro_of(self.first),
            further_micro=micro_of(self.further),
            input_micro=micro_of(self.input),
            rounding=self.rounding or defaults.rounding or "ceil",
            megapixel=self.megapixel or defaults.megapixel or MEBIPIXEL,
            input_each_max=None if self.input_each_max == "none" else self.input_each_max,
            input_total_max=None if self.input_total_max == "none" else self.input_total_max,
            included_steps=self.included_steps,
        )


_FLAT, _BY_MEGAPIXEL = "flat", "by_megapixel"


def _kind(entry: Any) -> str:
    """By what only one of the two has, so that a mistake is told in words of the entry that was meant."""
    is_flat = isinstance(entry, Mapping) and "image" in entry
    return _FLAT if is_flat else _BY_MEGAPIXEL


_Entry = Annotated[
    Annotated[_FlatEntry, Tag(_FLAT)] | Annotated[_MegapixelEntry, Tag(_BY_MEGAPIXEL)], Discriminator(_kind)
]


class _File(_Part):
    """What the file says. `rounding` and `megapixel` at the top are for every rule that counts megapixels, shipped ones too."""

    version: str = Field(pattern=r"^[A-Za-z0-9._-]+$", min_length=1, max_length=MAX_VERSION_CHARS)
    rounding: Rounding | None = None
    megapixel: Pixels | None = None
    models: dict[str, _Entry] = {}


def load_price_book(path: Path | None, names: Iterable[str], likes: Mapping[str, str] | None = None) -> PriceBook:
    """The shipped book, with the file's entries over it. `names` are the catalogue's; each of the operator's own that the file
    leaves out costs what the name costs that `likes` gives for it.

    Raises:
        ConfigurationError: the file cannot be read, an entry is wrong (it says which, its value and the limit) or is for a name
            that the catalogue lacks, or a name of the catalogue has no price.
    """
    names = set(names)
    book = PRICE_BOOK if path is None else _with_file(PRICE_BOOK, path, names)
    book = replace(book, rules=_with_likes(book.rules, likes or {}))
    missing = sorted(names - book.rules.keys())
    if missing:
        raise ConfigurationError(f"no price for {', '.join(missing)}: name them in the file of DARKROOM_PRICES__FILE")
    return book


def _with_file(shipped: PriceBook, path: Path, names: set[str]) -> PriceBook:
    content = _read(path)
    parsed = _parsed(path, content)
    unknown = [name for name in parsed.models if name not in names]
    if unknown:
        raise ConfigurationError(f"{path}: " + "; ".join(_unknown(name, names) for name in unknown))
    rules = {name: _under(rule, parsed) for name, rule in shipped.rules.items()}
    rules |= {name: entry.rule(parsed) for name, entry in parsed.models.items()}
    digest = hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]
    return PriceBook(f"{parsed.version}+{digest}", rules)


def _with_likes(rules: Mapping[str, Rule], likes: Mapping[str, str]) -> Mapping[str, Rule]:
    """A name may be like one that stands before it and is like another."""
    priced = dict(rules)
    for name, like in likes.items():
        if name not in priced and like in priced:
            priced[name] = priced[like]
    return priced


def _under(rule: Rule, parsed: _File) -> Rule:
    """A shipped rule under what the file says for all."""
    if isinstance(rule, Flat):
        return rule
    return replace(rule, rounding=parsed.rounding or rule.rounding, megapixel=parsed.megapixel or rule.megapixel)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: the price file cannot be read ({error.strerror})") from None


def _parsed(path: Path, content: bytes) -> _File:
    """Numbers are read as decimals: 0.1 is a tenth."""
    try:
        text = content.decode()
        is_json = path.suffix.lower() == ".json"
        values = json.loads(text, parse_float=Decimal) if is_json else tomllib.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise ConfigurationError(f"{path}: neither TOML nor, by its suffix .json, JSON ({error})") from None
    try:
        return _File.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {_explained(error)}") from None


def _explained(error: ValidationError) -> str:
    found: list[str] = []
    for one in error.errors(include_url=False):
        entry = ".".join(str(part) for part in one["loc"] if part not in (_FLAT, _BY_MEGAPIXEL))
        got = "" if one["type"] == "missing" else f" (got {one['input']})"
        found.append(f"{entry or 'the file'}: {one['msg']}{got}")
    return "; ".join(found)


def _unknown(name: str, names: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"models.{name}: there is no such model{meant}"
