"""Options that several commands share, and the parsers of their values."""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from app.accounts.audit_log import Actor
from app.core.ledger import MICRO_PER_CREDIT

MOST_CREDITS = 1_000_000_000
OPERATOR = Actor("operator (command line)")
"""Who acts, in the audit log, when a command does."""

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder of this service's state. Default: DARKROOM_DATA_DIR, else ~/.darkroom.",
        show_default=False,
        file_okay=False,
    ),
]


def parse_credits(text: str) -> int:
    """Credits as a person writes them, in micro-credits."""
    return _parse_amount(text, least=0)


def parse_signed_credits(text: str) -> int:
    """The same, or below zero."""
    return _parse_amount(text, least=-MOST_CREDITS)


def _parse_amount(text: str, least: int) -> int:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not a decimal number") from None
    if not amount.is_finite() or not least <= amount <= MOST_CREDITS:
        raise typer.BadParameter(f"{text} is outside {least} to {MOST_CREDITS}")
    return int((amount * MICRO_PER_CREDIT).to_integral_value())


def show_credits(micro: int) -> str:
    """Micro-credits as a person reads them: exact, without trailing zeros."""
    return f"{(Decimal(micro) / MICRO_PER_CREDIT).normalize():,f}"


def show_time(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Size:
    """Of a picture, in pixels."""

    width: int
    height: int


def parse_size(text: str) -> Size:
    """`WxH` or, for a square, `N`."""
    match = re.fullmatch(r"(\d{1,6})(?:[xX×](\d{1,6}))?", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size; write 256x192, or 256 for a square")
    return Size(int(match[1]), int(match[2] or match[1]))


def given(**overrides: object) -> dict[str, object]:
    """Only what was said on the command line; the rest is the environment's and the defaults'."""
    return {name: value for name, value in overrides.items() if value is not None}
