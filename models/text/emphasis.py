"""Emphasis in prompts, as the web interface of AUTOMATIC1111 reads it: which words count how much, and where a part ends.

Round brackets around words multiply their weight by 1.1, square ones divide it by 1.1, `(words:1.3)` multiplies it by the number, and
brackets stand in one another. A backslash makes a bracket or a backslash text. BREAK, a word of its own, ends a section. A bracket that
is never closed reaches to the end of the prompt; one that was never opened, and a number without its bracket, are text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from models.errors import UnsupportedInput

STRONGER, WEAKER = 1.1, 1 / 1.1
MAX_WEIGHT = 10.0
"""Of any word, upwards and downwards: far beyond it features say nothing, and in float16 they overflow."""

_ESCAPED = re.compile(r"\\[()\[\]\\]")
_NUMBER = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)")
_TEXT = re.compile(r"[^\\()\[\]:]+|.", re.DOTALL)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")


class Part(NamedTuple):
    """Some text of a prompt, and how much it counts; 1 is as it stands."""

    text: str
    weight: float


Section = tuple[Part, ...]
"""What stands between two BREAKs."""


def sections(prompt: str) -> tuple[Section, ...]:
    """The parts of a prompt, one section after another; neighbours of one weight are one part.

    Raises:
        UnsupportedInput: a weight is not within -MAX_WEIGHT and MAX_WEIGHT.
    """
    reader = _Reader()
    reader.read(prompt)
    found = tuple(_merged(section) for section in reader.sections())
    for part in (part for section in found for part in section):
        if not -MAX_WEIGHT <= part.weight <= MAX_WEIGHT:
            limit = f"{-MAX_WEIGHT:g} to {MAX_WEIGHT:g}"
            raise UnsupportedInput(f"prompt: the weight of {part.text[:40]!r} is {part.weight:g}; it must be {limit}")
    return found


@dataclass
class _Reader:
    """Pieces of text, their weights so far, and the brackets that are open: the index of the first piece in each."""

    texts: list[str | None] = field(default_factory=list[str | None])
    """None: a BREAK."""
    weights: list[float] = field(default_factory=list[float])
    open_round: list[int] = field(default_factory=list[int])
    open_square: list[int] = field(default_factory=list[int])

    def read(self, prompt: str) -> None:
        position = 0
        while position < len(prompt):
            position = self._step(prompt, position)
        for first in self.open_round:
            self._multiply(first, STRONGER)
        for first in self.open_square:
            self._multiply(first, WEAKER)

    def sections(self) -> Iterator[list[Part]]:
        section: list[Part] = []
        for text, weight in zip(self.texts, self.weights, strict=True):
            if text is None:
                yield section
                section = []
            else:
                section.append(Part(text, weight))
        yield section

    def _step(self, prompt: str, position: int) -> int:
        """Read what stands at a position; returns the next."""
        if escaped := _ESCAPED.match(prompt, position):
            self._say(escaped[0][1:])
            return escaped.end()
        if self.open_round and (number := _NUMBER.match(prompt, position)):
            self._multiply(self.open_round.pop(), float(number[1]))
            return number.end()
        if self._bracket(prompt[position]):
            return position + 1
        text = _TEXT.match(prompt, position)
        assert text is not None
        self._write(text[0])
        return text.end()

    def _bracket(self, mark: str) -> bool:
        """Open or close a bracket; False where the mark is text."""
        if mark == "(":
            self.open_round.append(len(self.texts))
        elif mark == "[":
            self.open_square.append(len(self.texts))
        elif mark == ")" and self.open_round:
            self._multiply(self.open_round.pop(), STRONGER)
        elif mark == "]" and self.open_square:
            self._multiply(self.open_square.pop(), WEAKER)
        else:
            return False
        return True

    def _write(self, text: str) -> None:
        for index, between in enumerate(_BREAK.split(text)):
            if index:
                self._say(None)
            self._say(between)

    def _say(self, text: str | None) -> None:
        self.texts.append(text)
        self.weights.append(1.0)

    def _multiply(self, first: int, factor: float) -> None:
        self.weights[first:] = [weight * factor for weight in self.weights[first:]]


def _merged(section: Sequence[Part]) -> Section:
    merged: list[Part] = []
    for part in (part for part in section if part.text):
        if merged and merged[-1].weight == part.weight:
            merged[-1] = Part(merged[-1].text + part.text, part.weight)
        else:
            merged.append(part)
    return tuple(merged)
