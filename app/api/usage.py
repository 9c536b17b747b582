"""What an account has used and paid: usage by day, model and key, the price of each image, the statement, the grants."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import select

from app.api.usage_schemas import (
    GenerationRead,
    GrantRead,
    StatementRead,
    UsageRead,
    UsageRow,
    generation_read,
    grant_read,
    movement_read,
    usage_row,
)
from app.auth.dependencies import CanReadBilling
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.errors import InvalidRequest, NotFound
from app.core.ids import is_id
from app.dependencies import Parts
from app.metering import statement as statements
from app.metering.pricing import credits_number
from app.metering.statement import Cursor
from app.metering.usage import GROUPINGS, Grouping, usage

DEFAULT_DAYS = 30
MOST_DAYS = 366
CSV = "text/csv; charset=utf-8"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would calculate; such a cell gets an apostrophe."""

ADay = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]
"""Within which a day more or less is still a date."""


def router() -> APIRouter:
    """Every route of it; each shows its caller's own account and no other."""
    routes = APIRouter(prefix="/v1", tags=["Usage"])
    routes.add_api_route("/usage", get_usage, methods=["GET"], response_model=UsageRead)
    routes.add_api_route("/usage/tasks/{task_id}", get_task_usage, methods=["GET"])
    routes.add_api_route("/account/statement", get_statement, methods=["GET"])
    routes.add_api_route("/account/grants", get_grants, methods=["GET"])
    return routes


async def get_usage(
    request: Request,
    parts: Parts,
    caller: CanReadBilling,
    first: Annotated[ADay | None, Query(alias="from", description="A day, UTC: 2026-11-30.")] = None,
    last: Annotated[ADay | None, Query(alias="to", description="A day, UTC, included.")] = None,
    group_by: Annotated[str, Query(max_length=64, description="day, model and key, with commas.")] = "day,model,key",
    format: Annotated[
        Literal["json", "csv"] | None, Query(description="json, or csv; else what Accept asks for.")
    ] = None,
) -> Any:
    """Images and their cost by day, model and key."""
    groups = _groups(group_by)
    last = last or parts.clock.utc_now().date()
    first = first or last - timedelta(days=DEFAULT_DAYS - 1)
    _check_days(first, last)
    async with parts.database.read() as session:
        found = await usage(session, caller.account_id, groups, first, last)
    rows = [usage_row(one) for one in found]
    if format == "csv" or (format is None and "text/csv" in request.headers.get("accept", "")):
        return Response(_as_csv(rows, groups), media_type=CSV)
    micro = sum(one.micro for one in found)
    return UsageRead(first=first, last=last, group_by=groups, rows=rows, cost=credits_number(micro), cost_micro=micro)


async def get_task_usage(parts: Parts, caller: CanReadBilling, task_id: str) -> list[GenerationRead]:
    """How the price of each image of a task came about. It stays after the pictures are gone."""
    query = (
        select(Generation, Task.model)
        .join(Task, Task.id == Generation.task_id)
        .where(Generation.task_id == task_id, Generation.account_id == caller.account_id)
        .order_by(Generation.index)
    )
    unknown = NotFound(f"there is no task {task_id!r}", field="task_id", value=task_id)
    if not is_id(task_id):
        raise unknown
    async with parts.database.read() as session:
        rows = (await session.execute(query)).all()
    if not rows:
        raise unknown
    return [generation_read(row, model) for row, model in rows]


async def get_statement(
    parts: Parts,
    caller: CanReadBilling,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> StatementRead:
    """Every movement of the account's credits, newest first, with the balance after it."""
    start = None if cursor is None else Cursor.parse(cursor)
    async with parts.database.read() as session:
        page = await statements.statement(session, caller.account_id, start, limit)
    return StatementRead(
        entries=[movement_read(one) for one in page.movements], next=None if page.next is None else str(page.next)
    )


async def get_grants(parts: Parts, caller: CanReadBilling) -> list[GrantRead]:
    """What the account's credits come from, in the order in which they are spent, and when they end."""
    async with parts.database.read() as session:
        found = await statements.live_grants(session, caller.account_id, parts.clock.utc_now())
    return [grant_read(one) for one in found]


def _groups(text: str) -> list[Grouping]:
    asked = {part.strip() for part in text.split(",") if part.strip()}
    unknown = sorted(asked - set(GROUPINGS))
    if unknown:
        limit = ", ".join(GROUPINGS)
        raise InvalidRequest(f"nothing is grouped by {unknown[0]}", field="group_by", value=text, limit=limit)
    return [group for group in GROUPINGS if group in asked]


def _check_days(first: date, last: date) -> None:
    if not timedelta() <= last - first < timedelta(days=MOST_DAYS):
        limit = f"`from` to `to`, at most {MOST_DAYS} days"
        raise InvalidRequest("this is no span of days", field="from", value=f"{first} to {last}", limit=limit)


def _as_csv(rows: Iterable[UsageRow], groups: Sequence[Grouping]) -> str:
    named = {"day": ("day",), "model": ("model",), "key": ("key_id", "key_name")}
    columns = [name for group in groups for name in named[group]]
    columns += ["images", "free_images", "failed", "cost", "cost_micro"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in columns])
    return text.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
