"""`darkroom accounts` and `darkroom credits`: who pays on which plan, what they have, adding to it, and who changed what."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal

import typer
from sqlalchemy import select

from app.accounts import audit_log, service
from app.accounts.plans import Plans
from app.accounts.service import Credit
from app.auth import repository
from app.auth.anonymous import PLAN as ANONYMOUS
from app.cli.database import on_database
from app.cli.options import OPERATOR, DataDir, given, parse_credits, parse_signed_credits, show_credits, show_time
from app.cli.terminal import new_table, say, show
from app.core.clock import SystemClock
from app.core.config import Settings, load_settings
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.audit_event import AuditEvent
from app.core.errors import NotFound

accounts = typer.Typer(help="Accounts.", no_args_is_help=True)
credit = typer.Typer(help="Credits of accounts.", no_args_is_help=True)

Name = Annotated[str, typer.Option("--account", help="Name of an account.")]
Plan = Annotated[str, typer.Option(help="Name of a plan: standard, pro, free, or one of DARKROOM_PLANS.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the ledger.")]
Reference = Annotated[
    str | None, typer.Option(help="Somebody else's name for it, such as a payment's id; the same one is added once.")
]


@accounts.command("list")
def list_accounts(
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Also the networks of callers without a key.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show all accounts, their plans and their credits."""
    table = new_table("account", "plan", "available", "held", "opened")
    for account in on_database(load_settings(**given(data_dir=data_dir)), all_accounts):
        if account.plan != ANONYMOUS or anonymous:
            available = show_credits(account.posted_micro - account.held_micro)
            held = show_credits(account.held_micro)
            table.add_row(account.name, account.plan, available, held, show_time(account.created_at))
    show(table)


@accounts.command("open")
def open_account(name: Annotated[str, typer.Argument()], plan: Plan = "standard", data_dir: DataDir = None) -> None:
    """Open an account without credits."""
    settings = load_settings(**given(data_dir=data_dir))
    on_database(settings, lambda database: opened(database, settings, name, plan))
    say(f"Account {name!r} is open, on the plan {plan}.")


@accounts.command("plan")
def change_plan(
    name: Annotated[str, typer.Argument()], plan: Annotated[str, typer.Argument()], data_dir: DataDir = None
) -> None:
    """Put an account on another plan, from its next request on."""
    settings = load_settings(**given(data_dir=data_dir))
    on_database(settings, lambda database: planned(database, settings, name, plan))
    say(f"Account {name!r} is on the plan {plan}.")


@accounts.command("events")
def list_events(
    name: Annotated[str | None, typer.Option("--account", help="Only what was about this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    data_dir: DataDir = None,
) -> None:
    """Show who changed what about whom, newest first."""
    table = new_table("at", "by", "what", "account", "detail")
    settings = load_settings(**given(data_dir=data_dir))
    for event, owner in on_database(settings, lambda database: recorded(database, name, limit)):
        table.add_row(show_time(event.at), event.actor, event.action, owner, json.dumps(event.detail))
    show(table)


@credit.command("add")
def add(
    account: Name,
    credit: Annotated[int, typer.Option("--credits", parser=parse_credits, metavar="N", help="How many.")],
    reason: Reason,
    reference: Reference = None,
    days: Annotated[int | None, typer.Option(help="Days until what is left is lost. Default: never.", min=1)] = None,
    kind: Annotated[
        Literal["grant", "free", "purchase"],
        typer.Option(help="What was not paid for is spent first, free before granted."),
    ] = "grant",
    data_dir: DataDir = None,
) -> None:
    """Grant credits to an account, or add what it has bought."""
    expires_at = None if days is None else SystemClock().utc_now() + timedelta(days=days)
    granted = Credit(kind, credit, reason, reference, expires_at)
    _credited(load_settings(**given(data_dir=data_dir)), account, granted)


@credit.command("adjust")
def adjust(
    account: Name,
    credit: Annotated[
        int, typer.Option("--credits", parser=parse_signed_credits, metavar="N", help="How many; below zero, to take.")
    ],
    reason: Reason,
    reference: Reference = None,
    data_dir: DataDir = None,
) -> None:
    """Correct an account's credits, up or down."""
    _credited(load_settings(**given(data_dir=data_dir)), account, Credit("adjust", credit, reason, reference))


def _credited(settings: Settings, name: str, credit: Credit) -> None:
    was_added, available = on_database(settings, lambda database: credited(database, name, credit))
    if not was_added:
        say(f"The reference {credit.reference!r} was added before; nothing changed.")
    say(f"Account {name!r} has {show_credits(available)} credits.")


async def all_accounts(database: Database) -> list[Account]:
    async with database.read() as session:
        return list(await session.scalars(select(Account).order_by(Account.name)))


async def opened(database: Database, settings: Settings, name: str, plan: str) -> None:
    async with database.write() as session:
        await service.new_account(session, Plans(settings), name, plan, OPERATOR, SystemClock().utc_now())


async def planned(database: Database, settings: Settings, name: str, plan: str) -> None:
    async with database.write() as session:
        account = await repository.account_by_name(session, name)
        if account is None:
            raise _no_account(name)
        await service.change_plan(session, Plans(settings), account, plan, OPERATOR, SystemClock().utc_now())


async def credited(database: Database, name: str, credit: Credit) -> tuple[bool, int]:
    """Whether it was added now, and the credits available afterwards, in micro-credits."""
    async with database.write() as session:
        account = await repository.account_by_name(session, name)
        if account is None:
            raise _no_account(name)
        was_added = await service.add_credits(session, account.id, credit, OPERATOR, SystemClock().utc_now())
        await session.refresh(account)
        return was_added, account.posted_micro - account.held_micro


async def recorded(database: Database, name: str | None, limit: int) -> Sequence[tuple[AuditEvent, str]]:
    """Events and the names of the accounts that they were about."""
    async with database.read() as session:
        account = None if name is None else await repository.account_by_name(session, name)
        if name is not None and account is None:
            raise _no_account(name)
        found = await audit_log.events(session, account_id=None if account is None else account.id, limit=limit)
        ids = {event.account_id for event in found}
        names = {row.id: row.name for row in await session.scalars(select(Account).where(Account.id.in_(ids)))}
        return [(event, names.get(event.account_id or "", "-")) for event in found]


def _no_account(name: str) -> NotFound:
    return NotFound(f"there is no account {name!r}")
