"""Accounts and keys on both databases."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from app.auth import keys
from app.auth.scopes import Scope
from app.auth.service import create_key, look_up, open_account, revoke_key
from app.core.db.engine import Database
from app.core.db.tables.api_key import ApiKey
from app.core.errors import InvalidRequest, NotFound
from app.core.secret_file import Secrets
from tests.fixtures.accounts import EPOCH

pytestmark = pytest.mark.anyio

SECRETS = Secrets(SecretStr("pepper-pepper-pepper"), SecretStr("signing-signing-signing"))
OTHER_PEPPER = Secrets(SecretStr("salt-salt-salt-salt"), SECRETS.url_signing_key)


async def test_a_key_is_found_by_its_holder_and_nobody_else(database: Database) -> None:
    async with database.write() as session:
        account = await open_account(session, "ann", EPOCH)
        key = await create_key(session, account.id, SECRETS, EPOCH, scopes=[Scope.JOBS_READ])
    async with database.read() as session:
        caller = await look_up(session, key.token, SECRETS, EPOCH)
        assert caller is not None
        assert (caller.account_id, caller.key_id, caller.scopes) == (account.id, key.id, {"jobs:read"})
        assert await look_up(session, keys.new_key(), SECRETS, EPOCH) is None
        assert await look_up(session, key.token, OTHER_PEPPER, EPOCH) is None


async def test_the_key_itself_is_not_stored(database: Database) -> None:
    async with database.write() as session:
        account = await open_account(session, "ann", EPOCH)
        key = await create_key(session, account.id, SECRETS, EPOCH)
    async with database.read() as session:
        row = await session.get(ApiKey, key.id)
    assert row is not None
    stored = " ".join(str(value) for value in vars(row).values())
    assert key.token not in stored
    assert key.token.split("_")[2] not in stored
    assert (row.prefix, row.last4, row.pepper_id) == ("dk_live", keys.last4(key.token), SECRETS.pepper_id)


async def test_revoked_and_expired_keys_are_nobodys(database: Database) -> None:
    async with database.write() as session:
        account = await open_account(session, "ann", EPOCH)
        brief = await create_key(session, account.id, SECRETS, EPOCH, expires_at=EPOCH + timedelta(hours=1))
        revoked = await create_key(session, account.id, SECRETS, EPOCH)
        await revoke_key(session, revoked.id, EPOCH)
        await revoke_key(session, revoked.id, EPOCH + timedelta(hours=1))
    async with database.read() as session:
        assert await look_up(session, revoked.token, SECRETS, EPOCH) is None
        assert await look_up(session, brief.token, SECRETS, EPOCH + timedelta(minutes=59)) is not None
        assert await look_up(session, brief.token, SECRETS, EPOCH + timedelta(hours=1)) is None


async def test_revoking_an_unknown_key_is_an_error(database: Database) -> None:
    async with database.write() as session:
        with pytest.raises(NotFound):
            await revoke_key(session, "nothing", EPOCH)


async def test_an_account_is_opened_once_and_without_credits(database: Database) -> None:
    async with database.write() as session:
        first = await open_account(session, "ann", EPOCH)
        again = await open_account(session, "ann", EPOCH + timedelta(days=1))
    assert (first.id, first.posted_micro) == (again.id, 0)


@pytest.mark.parametrize("name", ["", "  ", "x" * 256])
async def test_an_account_has_a_name_of_sane_length(database: Database, name: str) -> None:
    async with database.write() as session:
        with pytest.raises(InvalidRequest, match="1 to 255"):
            await open_account(session, name, EPOCH)
