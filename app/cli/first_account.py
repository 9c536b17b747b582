"""The account that `up` opens on its first start, so that a fresh service can be used at once."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import repository, service
from app.cli import data_dir as files
from app.cli.database import opened
from app.core import ledger
from app.core.clock import Clock
from app.core.config import Settings
from app.core.db.tables.account import Account
from app.core.secret_file import resolve_secrets

NAME = "local"
FIRST_CREDITS_MICRO = 10_000 * ledger.MICRO_PER_CREDIT


async def ensure_local_key(settings: Settings, clock: Clock) -> str:
    """The key in the data directory, if it still works; else a new one, kept there from now on."""
    secrets = resolve_secrets(settings)
    kept = files.local_key(settings.data_dir)
    async with opened(settings) as database, database.write() as session:
        account = await _ensure_account(session, clock)
        if kept is not None:
            caller = await service.look_up(session, kept, secrets, clock.utc_now())
            if caller is not None and caller.account_id == account.id:
                return kept
        made = await service.create_key(session, account.id, secrets, clock.utc_now(), name="made by `darkroom up`")
    files.keep_local_key(settings.data_dir, made.token)
    return made.token


async def _ensure_account(session: AsyncSession, clock: Clock) -> Account:
    """Credits are given once, with the account."""
    found = await repository.account_by_name(session, NAME)
    if found is not None:
        return found
    now = clock.utc_now()
    account = await service.open_account(session, NAME, now)
    await ledger.credit(
        session, account.id, FIRST_CREDITS_MICRO, "grant", "first start", "darkroom up", "credits to begin with", now
    )
    return account
