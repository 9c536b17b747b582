"""`darkroom accounts` and `darkroom credits`: who pays, what they have, and adding to it."""

from typing import Annotated

import typer
from sqlalchemy import select

from app.auth import repository
from app.cli.database import on_database
from app.cli.options import DataDir, given, parse_credits, show_credits, show_time
from app.cli.terminal import new_table, say, show
from app.core import ledger
from app.core.clock import SystemClock
from app.core.config import load_settings
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.errors import NotFound

accounts = typer.Typer(help="Accounts.", no_args_is_help=True)
credit = typer.Typer(help="Credits of accounts.", no_args_is_help=True)


@accounts.callback()
@credit.callback()
def group() -> None:
    """Keeps the one command of each group a command of a group."""


@accounts.command("list")
def list_accounts(data_dir: DataDir = None) -> None:
    """Show all accounts and their credits."""
    table = new_table("account", "available", "held", "opened")
    for account in on_database(load_settings(**given(data_dir=data_dir)), all_accounts):
        available = show_credits(account.posted_micro - account.held_micro)
        table.add_row(account.name, available, show_credits(account.held_micro), show_time(account.created_at))
    show(table)


@credit.command("add")
def add(
    account: Annotated[str, typer.Option(help="Name of an account.")],
    credit: Annotated[int, typer.Option("--credits", parser=parse_credits, metavar="N", help="How many.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger.")],
    data_dir: DataDir = None,
) -> None:
    """Grant credits to an account."""
    settings = load_settings(**given(data_dir=data_dir))
    available = on_database(settings, lambda database: grant(database, account, credit, reason))
    say(f"Account {account!r} has {show_credits(available)} credits.")


async def all_accounts(database: Database) -> list[Account]:
    async with database.read() as session:
        return list(await session.scalars(select(Account).order_by(Account.name)))


async def grant(database: Database, name: str, micro: int, reason: str) -> int:
    """Credits available afterwards, in micro-credits."""
    async with database.write() as session:
        account = await repository.account_by_name(session, name)
        if account is None:
            raise NotFound(f"there is no account {name!r}")
        await ledger.credit(session, account.id, micro, "grant", None, "operator", reason, SystemClock().utc_now())
        await session.refresh(account)
        return account.posted_micro - account.held_micro
