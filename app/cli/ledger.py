"""`darkroom ledger verify`: an audit of every balance, hold and charge."""

from dataclasses import dataclass
from typing import Any

import typer
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.cli.database import on_database
from app.cli.options import DataDir, given, show_credits
from app.cli.terminal import CommandError
from app.core import ledger as book
from app.core.config import load_settings
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.ledger import LedgerEntry, LedgerTransaction

ledger = typer.Typer(help="The ledger of credits.", no_args_is_help=True)


@ledger.callback()
def group() -> None:
    """Keeps `verify` a command of a group, although it is the only one."""


@ledger.command()
def verify(data_dir: DataDir = None) -> None:
    """Check that every balance, hold and charge agrees. Exit code 1 when any does not."""
    audit = on_database(load_settings(**given(data_dir=data_dir)), audited)
    for breach in audit.breaches:
        typer.echo(str(breach))
    if audit.breaches:
        raise CommandError(f"the ledger does not balance: {len(audit.breaches)} breaches in {audit.extent}")
    typer.echo(f"Everything balances: {audit.extent}; {show_credits(audit.held_micro)} credits held for running work.")


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what was wrong."""

    breaches: list[book.Breach]
    num_accounts: int
    num_transactions: int
    num_entries: int
    held_micro: int

    @property
    def extent(self) -> str:
        return f"{self.num_accounts} accounts, {self.num_transactions} transactions, {self.num_entries} entries"


async def audited(database: Database) -> Audit:
    """All of it in one reading session, so that running work cannot look like a breach."""
    async with database.read() as session:
        return Audit(
            await book.verify(session),
            await count(session, Account.id),
            await count(session, LedgerTransaction.id),
            await count(session, LedgerEntry.id),
            await session.scalar(select(func.coalesce(func.sum(Account.held_micro), 0))) or 0,
        )


async def count(session: AsyncSession, column: InstrumentedAttribute[Any]) -> int:
    return await session.scalar(select(func.count(column))) or 0
