"""The built-in policy: words and phrases by category, each blocked up to a tolerance. Plain, fast, and easy to evade.

It is a first line for services without a classifier, no judgement of meaning. Words are compared whole, in Unicode's compatibility
form without accents and case, so that full-width letters or an added accent do not pass.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.core.errors import ConfigurationError
from app.moderation.verdict import ALLOWED, MOST_TOLERANT, STRICTEST, Verdict

MAX_WORDS: Final = 100_000


class Category(BaseModel, defer_build=True):
    """Words that say what a caller may not have drawn.

    Attributes:
        name: as callers are shown it.
        up_to: highest safety_tolerance at which it is blocked.
        words: any of these, or phrases of several words.
        beside: with any of these in the same prompt; empty: alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^;]+$")]
    up_to: Annotated[int, Field(ge=STRICTEST, le=MOST_TOLERANT)]
    words: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_WORDS)]
    beside: Annotated[tuple[str, ...], Field(max_length=MAX_WORDS)] = ()


_SEXUAL: Final = (
    "nude", "naked", "nsfw", "porn", "porno", "pornographic", "pornography", "sex", "sexual", "sexually explicit", "erotic",
    "erotica", "hentai", "topless", "genitals", "penis", "vagina", "nipples", "intercourse", "blowjob", "orgasm", "masturbating",
)  # fmt: skip
_MINORS: Final = (
    "child", "children", "kid", "kids", "minor", "minors", "underage", "toddler", "baby", "infant", "preteen", "schoolgirl",
    "schoolboy", "little girl", "little boy", "young girl", "young boy", "loli", "shota",
)  # fmt: skip
_GORE: Final = (
    "gore",
    "gory",
    "beheading",
    "decapitated",
    "disemboweled",
    "dismembered",
    "mutilated corpse",
    "severed head",
)
_SELF_HARM: Final = ("suicide", "self harm", "slit wrists", "cutting herself", "cutting himself", "hanging herself")

BUILT_IN: Final = (
    Category(name="Child Sexual Abuse", up_to=MOST_TOLERANT, words=_SEXUAL, beside=_MINORS),
    Category(name="Sexual Content", up_to=4, words=_SEXUAL),
    Category(name="Self-Harm", up_to=3, words=_SELF_HARM),
    Category(name="Graphic Violence", up_to=2, words=_GORE),
)


@dataclass(frozen=True)
class _Compiled:
    category: Category
    words: re.Pattern[str]
    beside: re.Pattern[str] | None

    def is_in(self, text: str) -> bool:
        return bool(self.words.search(text)) and (self.beside is None or bool(self.beside.search(text)))


class KeywordPolicy:
    """A moderator that needs nobody."""

    def __init__(self, categories: Sequence[Category] = BUILT_IN) -> None:
        self._categories = [
            _Compiled(one, _any_of(one.words), _any_of(one.beside) if one.beside else None) for one in categories
        ]

    async def check(self, prompt: str, tolerance: int) -> Verdict:
        return self.verdict(prompt, tolerance)

    def verdict(self, prompt: str, tolerance: int) -> Verdict:
        """The categories that the prompt is of, among those that are blocked at this tolerance."""
        text = _folded(prompt)
        found = (one.category.name for one in self._categories if tolerance <= one.category.up_to and one.is_in(text))
        return Verdict(tuple(found)) or ALLOWED


def read_categories(path: Path) -> tuple[Category, ...]:
    """An operator's own categories: a JSON list of objects with `name`, `up_to`, `words` and, if need be, `beside`.

    Raises:
        ConfigurationError: the file cannot be read, or is not that.
    """
    try:
        return TypeAdapter(tuple[Category, ...]).validate_python(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        text = (
            f"{error.error_count()} faults: {error.errors()[0]['msg']}" if isinstance(error, ValidationError) else error
        )
        raise ConfigurationError(f"the moderation words in {path} cannot be read: {text}") from None


def _any_of(words: Sequence[str]) -> re.Pattern[str]:
    """Whole words; inside a phrase anything that is no letter or digit may stand between them."""
    phrases = (r"[\W_]+".join(map(re.escape, _folded(word).split())) for word in words)
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(phrases)})(?![^\W_])")


def _folded(text: str) -> str:
    """Compatibility form, without accents, case and marks that are not seen."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in parts if unicodedata.category(one) not in ("Mn", "Cf"))
