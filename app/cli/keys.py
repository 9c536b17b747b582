"""`darkroom keys`: make, list, rotate and revoke API keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import keys as account_keys
from app.accounts.audit_log import Action, record
from app.accounts.keys import KeyOrder
from app.auth import keys as tokens
from app.auth import repository, service
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.auth.service import NewKey
from app.cli.database import on_database
from app.cli.options import OPERATOR, DataDir, given, parse_credits, show_credits, show_time
from app.cli.terminal import new_table, say, show
from app.core import ledger
from app.core.clock import SystemClock
from app.core.config import Settings, load_settings
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.api_key import ApiKey
from app.core.errors import NotFound
from app.core.secret_file import resolve_secrets

keys = typer.Typer(help="API keys.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The key's id, as in `keys list`, or the key itself.")]


@keys.command("create")
def create(
    account: Annotated[str, typer.Option(help="Name of the account; it is opened if there is none of that name.")],
    credit: Annotated[
        int, typer.Option("--credits", parser=parse_credits, metavar="N", help="Credits to add, as a purchase.")
    ] = 0,
    name: Annotated[str, typer.Option(help="What the key is for; shown in lists.")] = "",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What the key may do; give it several times. Default: all but admin.", show_default=False),
    ] = None,
    days: Annotated[int | None, typer.Option(help="Days until the key expires. Default: never.", min=1)] = None,
    spending_limit: Annotated[
        int | None, typer.Option(parser=parse_credits, metavar="N", help="Credits that the key may spend in all.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key, and print it alone on the last line. It cannot be shown again."""
    settings = load_settings(**given(data_dir=data_dir))
    expires_at = None if days is None else SystemClock().utc_now() + timedelta(days=days)
    order = KeyOrder(name, scope or DEFAULT_SCOPES, expires_at, spending_limit)
    token = on_database(settings, lambda database: create_key(database, settings, account, credit, order))
    say(f"A new key of account {account!r}, which gained {show_credits(credit)} credits:")
    typer.echo(token)


@keys.command("list")
def list_keys(data_dir: DataDir = None) -> None:
    """Show all keys, without the secret part."""
    settings = load_settings(**given(data_dir=data_dir))
    table = new_table("id", "account", "key", "name", "spent", "limit", "created", "last used", "expires", "revoked")
    for key, owner in on_database(settings, all_keys):
        limit = "-" if key.spending_limit_micro is None else show_credits(key.spending_limit_micro)
        times = map(show_time, (key.created_at, key.last_used_at, key.expires_at, key.revoked_at))
        shown = f"{key.prefix}_…{key.last4}"
        table.add_row(key.id, owner, shown, key.name, show_credits(key.spent_micro), limit, *times)
    show(table)


@keys.command("rotate")
def rotate(
    key: Key,
    overlap_hours: Annotated[
        float, typer.Option(help="Hours that the secret before goes on working.", min=0, max=720)
    ] = 24,
    data_dir: DataDir = None,
) -> None:
    """Make another secret for the same key, and print it alone on the last line."""
    settings = load_settings(**given(data_dir=data_dir))
    overlap = timedelta(hours=overlap_hours)
    made = on_database(settings, lambda database: rotate_key(database, settings, key, overlap))
    say(f"The secret before works for {overlap_hours:g} hours more. The new one:")
    typer.echo(made.token)


@keys.command("revoke")
def revoke(key: Key, data_dir: DataDir = None) -> None:
    """Refuse a key from now on."""
    settings = load_settings(**given(data_dir=data_dir))
    on_database(settings, lambda database: revoke_key(database, settings, key))
    say("The key is revoked.")


async def create_key(database: Database, settings: Settings, account_name: str, micro: int, order: KeyOrder) -> str:
    """Account, credits and key in one transaction."""
    now = SystemClock().utc_now()
    async with database.write() as session:
        account = await _opened(session, account_name, now)
        if micro:
            reason = "darkroom keys create"
            await ledger.credit(session, account.id, micro, "purchase", None, OPERATOR.name, reason, now)
            detail = {"kind": "purchase", "credits_micro": micro, "reference": None, "reason": reason}
            await record(session, OPERATOR, Action.CREDITS_ADDED, account.id, now, detail=detail)
        made = await account_keys.create_key(session, account.id, order, resolve_secrets(settings), OPERATOR, now)
    return made.token


async def all_keys(database: Database) -> Sequence[tuple[ApiKey, str]]:
    query = select(ApiKey, Account.name).join(Account, Account.id == ApiKey.account_id).order_by(ApiKey.created_at)
    async with database.read() as session:
        return [(key, owner) for key, owner in await session.execute(query)]


async def rotate_key(database: Database, settings: Settings, key: str, overlap: timedelta) -> NewKey:
    now = SystemClock().utc_now()
    async with database.write() as session:
        row = await _found(session, settings, key, now)
        return await account_keys.rotate_key(session, row, overlap, resolve_secrets(settings), OPERATOR, now)


async def revoke_key(database: Database, settings: Settings, key: str) -> None:
    now = SystemClock().utc_now()
    async with database.write() as session:
        row = await _found(session, settings, key, now)
        await account_keys.revoke_key(session, row, OPERATOR, now)


async def _opened(session: AsyncSession, name: str, now: datetime) -> Account:
    """The account of this name; that it is new is put on record."""
    found = await repository.account_by_name(session, name)
    if found is not None:
        return found
    account = await service.open_account(session, name, now)
    detail = {"name": name, "plan": account.plan}
    await record(session, OPERATOR, Action.ACCOUNT_OPENED, account.id, now, detail=detail)
    return account


async def _found(session: AsyncSession, settings: Settings, key: str, now: datetime) -> ApiKey:
    """By its id, or by the key itself as long as it works."""
    if tokens.is_well_formed(key):
        caller = await service.look_up(session, key, resolve_secrets(settings), now)
        if caller is None or caller.key_id is None:
            raise NotFound("this key is unknown here, or revoked already")
        key = caller.key_id
    row = await session.get(ApiKey, key)
    if row is None:
        raise NotFound(f"there is no key {key!r}", field="id", value=key)
    return row
