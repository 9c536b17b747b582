"""`darkroom keys`: make, list and revoke API keys."""

from typing import Annotated

import typer
from sqlalchemy import select

from app.auth import keys as tokens
from app.auth import service
from app.cli.database import on_database
from app.cli.options import DataDir, given, parse_credits, show_credits, show_time
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


@keys.command("create")
def create(
    account: Annotated[str, typer.Option(help="Name of the account; it is opened if there is none of that name.")],
    credit: Annotated[
        int, typer.Option("--credits", parser=parse_credits, metavar="N", help="Credits to add, as a purchase.")
    ] = 0,
    name: Annotated[str, typer.Option(help="What the key is for; shown in lists.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Make a key, and print it alone on the last line. It cannot be shown again."""
    settings = load_settings(**given(data_dir=data_dir))
    token = on_database(settings, lambda database: create_key(database, settings, account, credit, name))
    say(f"A new key of account {account!r}, which gained {show_credits(credit)} credits:")
    typer.echo(token)


@keys.command("list")
def list_keys(data_dir: DataDir = None) -> None:
    """Show all keys, without the secret part."""
    settings = load_settings(**given(data_dir=data_dir))
    table = new_table("id", "account", "key", "name", "created", "last used", "revoked")
    for key, owner in on_database(settings, all_keys):
        times = map(show_time, (key.created_at, key.last_used_at, key.revoked_at))
        table.add_row(key.id, owner, f"{key.prefix}_…{key.last4}", key.name, *times)
    show(table)


@keys.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as in `keys list`, or the key itself.")],
    data_dir: DataDir = None,
) -> None:
    """Refuse a key from now on."""
    settings = load_settings(**given(data_dir=data_dir))
    on_database(settings, lambda database: revoke_key(database, settings, key))
    say("The key is revoked.")


async def create_key(database: Database, settings: Settings, account_name: str, micro: int, key_name: str) -> str:
    """Account, credits and key in one transaction."""
    now = SystemClock().utc_now()
    async with database.write() as session:
        account = await service.open_account(session, account_name, now)
        if micro:
            await ledger.credit(session, account.id, micro, "purchase", None, "operator", "darkroom keys create", now)
        made = await service.create_key(session, account.id, resolve_secrets(settings), now, name=key_name)
    return made.token


async def all_keys(database: Database) -> list[tuple[ApiKey, str]]:
    query = select(ApiKey, Account.name).join(Account, Account.id == ApiKey.account_id).order_by(ApiKey.created_at)
    async with database.read() as session:
        return [(key, owner) for key, owner in await session.execute(query)]


async def revoke_key(database: Database, settings: Settings, key: str) -> None:
    now = SystemClock().utc_now()
    async with database.write() as session:
        if tokens.is_well_formed(key):
            caller = await service.look_up(session, key, resolve_secrets(settings), now)
            if caller is None:
                raise NotFound("this key is unknown here, or revoked already")
            key = caller.key_id
        await service.revoke_key(session, key, now)
