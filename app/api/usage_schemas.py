"""Bodies of usage, statement and grants. Amounts are in credits; `_micro` says them in millionths, as integers."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel

from app.core.db.tables.credit_grant import CreditGrant
from app.core.db.tables.generation import Generation
from app.core.states import GenerationState
from app.metering.pricing import credits_number
from app.metering.statement import Movement
from app.metering.usage import Grouping, Usage


class UsageRow(BaseModel, defer_build=True):
    """`images` were delivered, `free_images` of them without a price; `failed` were not delivered and cost nothing."""

    day: str | None = None
    model: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    images: int
    free_images: int
    failed: int
    cost: float
    cost_micro: int


class UsageRead(BaseModel, defer_build=True):
    """`first` and `last` are days in UTC, both included; an image counts on the day on which it ended."""

    first: date
    last: date
    group_by: list[Grouping]
    rows: list[UsageRow]
    cost: float
    cost_micro: int


class GenerationRead(BaseModel, defer_build=True):
    """`price` is that of the book at submit, `cost` what was held or, once it is over, charged."""

    id: str
    index: int
    state: str
    model: str
    width: int
    height: int
    key_id: str | None
    queued_at: datetime
    finished_at: datetime | None
    is_free: bool
    price: float
    cost: float
    cost_micro: int
    price_version: str
    breakdown: list[dict[str, Any]]


class MovementRead(BaseModel, defer_build=True):
    """`change` and `held_change` are what moved; `balance` is what could be spent after it, `held` what was kept for work."""

    id: int
    at: datetime
    kind: str
    change: float
    held_change: float
    balance: float
    held: float
    generation_id: str | None
    task_id: str | None
    model: str | None
    reference: str | None
    reason: str | None


class StatementRead(BaseModel, defer_build=True):
    """Newest first. `next` is the `cursor` of the page after this one; null at the end."""

    entries: list[MovementRead]
    next: str | None


class GrantRead(BaseModel, defer_build=True):
    id: int
    kind: str
    amount: float
    remaining: float
    expires_at: datetime | None
    created_at: datetime


def usage_row(one: Usage) -> UsageRow:
    return UsageRow(
        day=one.day,
        model=one.model,
        key_id=one.key_id,
        key_name=one.key_name,
        images=one.images,
        free_images=one.free_images,
        failed=one.failed,
        cost=credits_number(one.micro),
        cost_micro=one.micro,
    )


def generation_read(row: Generation, model: str) -> GenerationRead:
    lines: list[dict[str, Any]] = row.price_inputs.get("lines", [])
    is_charged = row.finished_at is None or row.state == GenerationState.READY
    micro = row.price_micro if is_charged else 0
    return GenerationRead(
        id=row.id,
        index=row.index,
        state=row.state,
        model=model,
        width=row.width,
        height=row.height,
        key_id=row.key_id,
        queued_at=row.queued_at,
        finished_at=row.finished_at,
        is_free=row.is_free,
        price=credits_number(sum(line["micro"] for line in lines)),
        cost=credits_number(micro),
        cost_micro=micro,
        price_version=row.price_book_version,
        breakdown=lines,
    )


def movement_read(one: Movement) -> MovementRead:
    return MovementRead(
        id=one.id,
        at=one.at,
        kind=one.kind,
        change=credits_number(one.change_micro),
        held_change=credits_number(one.held_change_micro),
        balance=credits_number(one.available_micro),
        held=credits_number(one.held_micro),
        generation_id=one.generation_id,
        task_id=one.task_id,
        model=one.model,
        reference=one.reference,
        reason=one.reason,
    )


def grant_read(one: CreditGrant) -> GrantRead:
    return GrantRead(
        id=one.id,
        kind=one.kind,
        amount=credits_number(one.amount_micro),
        remaining=credits_number(one.remaining_micro),
        expires_at=one.expires_at,
        created_at=one.created_at,
    )
