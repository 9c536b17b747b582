"""The ledger on both databases: guarded balances, one settle a generation, entries that stay, and an audit that sees."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import ledger
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.credit_grant import CreditGrant
from app.core.db.tables.generation import Generation
from app.core.db.tables.ledger import LedgerEntry, LedgerTransaction
from app.core.errors import InsufficientCredits
from app.core.ledger import Hold, LedgerBroken
from tests.fixtures.accounts import EPOCH, PRICE_MICRO, MakeAccount, Submit

pytestmark = pytest.mark.anyio

Spoil = Callable[[AsyncSession], object]


async def account(database: Database, account_id: str) -> tuple[int, int]:
    async with database.read() as session:
        found = await session.get_one(Account, account_id)
        return found.posted_micro, found.held_micro


async def breaches(database: Database) -> list[str]:
    async with database.read() as session:
        return [str(breach) for breach in await ledger.verify(session)]


async def test_a_price_above_the_balance_is_refused_and_nothing_is_written(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account(PRICE_MICRO)
    await submit(account_id)
    with pytest.raises(InsufficientCredits):
        await submit(account_id)
    assert await account(database, account_id) == (PRICE_MICRO, PRICE_MICRO)
    assert await breaches(database) == []


async def test_a_price_of_nothing_needs_no_credits(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account(0)
    await submit(account_id, price_micro=0)
    assert await breaches(database) == []


async def test_the_last_credits_are_spent_by_one_of_many(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account(3 * PRICE_MICRO)
    answers = await asyncio.gather(*(submit(account_id) for _ in range(12)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, InsufficientCredits)]
    assert len(refused) == 9
    assert await account(database, account_id) == (3 * PRICE_MICRO, 3 * PRICE_MICRO)
    assert await breaches(database) == []


async def test_a_settle_captures_a_part_and_releases_the_rest(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account(PRICE_MICRO)
    (generation_id,) = await submit(account_id)
    async with database.write() as session:
        await ledger.settle(session, Hold(generation_id, account_id, PRICE_MICRO), 400, EPOCH)
    assert await account(database, account_id) == (PRICE_MICRO - 400, 0)


async def test_a_second_settle_is_refused_by_the_schema_too(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account(2 * PRICE_MICRO)
    generation_id, _ = await submit(account_id, num_images=2)
    hold = Hold(generation_id, account_id, PRICE_MICRO)
    async with database.write() as session:
        await ledger.settle(session, hold, PRICE_MICRO, EPOCH)
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            await ledger.settle(session, hold, PRICE_MICRO, EPOCH)
    assert await account(database, account_id) == (PRICE_MICRO, PRICE_MICRO)


async def test_more_than_the_hold_is_never_captured(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    account_id = await make_account(PRICE_MICRO)
    (generation_id,) = await submit(account_id)
    async with database.write() as session:
        with pytest.raises(ValueError, match="captured"):
            await ledger.settle(session, Hold(generation_id, account_id, PRICE_MICRO), PRICE_MICRO + 1, EPOCH)
        with pytest.raises(LedgerBroken):
            await ledger.settle(session, Hold(generation_id, account_id, 2 * PRICE_MICRO), 0, EPOCH)


async def test_a_purchase_is_credited_once_for_its_reference(database: Database, make_account: MakeAccount) -> None:
    account_id = await make_account(0)
    for _ in range(2):
        try:
            async with database.write() as session:
                await ledger.credit(session, account_id, 5, "purchase", "invoice 1", "admin", "paid", EPOCH)
        except IntegrityError:
            continue
    assert await account(database, account_id) == (5, 0)
    assert await breaches(database) == []


async def test_an_adjustment_takes_away_no_more_than_there_is(database: Database, make_account: MakeAccount) -> None:
    account_id = await make_account(10)
    async with database.write() as session:
        await ledger.credit(session, account_id, -10, "adjust", None, "admin", "chargeback", EPOCH)
    with pytest.raises(InsufficientCredits):
        async with database.write() as session:
            await ledger.credit(session, account_id, -1, "adjust", None, "admin", "chargeback", EPOCH)
    assert await account(database, account_id) == (0, 0)


@pytest.mark.parametrize("table", [LedgerEntry, LedgerTransaction])
async def test_entries_and_transactions_are_final(
    database: Database, make_account: MakeAccount, table: type[LedgerEntry] | type[LedgerTransaction]
) -> None:
    await make_account()
    for statement in (update(table).values(id=table.id + 1000), delete(table)):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.write() as session:
                await session.execute(statement, execution_options={"synchronize_session": False})
    assert await breaches(database) == []


async def test_ledger_entries_cannot_be_truncated(database: Database, make_account: MakeAccount) -> None:
    await make_account()
    if not database.is_sqlite:  # SQLite has no TRUNCATE
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.write() as session:
                await session.execute(text("TRUNCATE ledger_entry"))
    async with database.read() as session:
        assert (await session.scalars(select(LedgerEntry.id))).all()


SPOILS: list[tuple[str, Spoil]] = [
    ("sums to zero", lambda s: _entry(s, "revenue", 1)),
    (
        "an account equals its entries",
        lambda s: s.execute(update(Account).values(posted_micro=Account.posted_micro + 1)),
    ),
    (
        "holds the prices of its active generations",
        lambda s: s.execute(update(Account).values(held_micro=Account.held_micro - 1)),
    ),
    ("one not yet", lambda s: s.execute(update(Generation).values(state="cancelled"))),
    ("no hold on a final generation", lambda s: s.execute(update(Generation).values(state="error"))),
    ("charged its price", lambda s: s.execute(update(Generation).values(state="ready"))),
    ("reserves its price", lambda s: s.execute(update(Generation).values(price_micro=Generation.price_micro + 1))),
    ("in an account of its transaction", lambda s: _entry(s, "customer:nobody:held", 0)),
    ("reserves once", lambda s: _unpaid_copy(s)),
]


@pytest.mark.parametrize(("rule", "spoil"), SPOILS, ids=[rule for rule, _ in SPOILS])
async def test_the_audit_sees_what_is_wrong(
    database: Database, make_account: MakeAccount, submit: Submit, rule: str, spoil: Spoil
) -> None:
    await submit(await make_account())
    assert await breaches(database) == []
    async with database.write() as session:
        await spoil(session)  # pyright: ignore[reportGeneralTypeIssues] (every one is awaitable)
    assert any(rule in breach for breach in await breaches(database))


async def _entry(session: AsyncSession, name: str, amount_micro: int) -> None:
    transaction_id = (await session.scalars(select(LedgerTransaction.id).limit(1))).one()
    grant_id = (await session.scalars(select(CreditGrant.id).limit(1))).one()
    values = {"transaction_id": transaction_id, "ledger_account": name, "grant_id": grant_id}
    session.add(LedgerEntry(**values, amount_micro=amount_micro))


async def _unpaid_copy(session: AsyncSession) -> None:
    """A queued generation that nobody has reserved credits for."""
    source = (await session.scalars(select(Generation))).one()
    values = {column.key: getattr(source, column.key) for column in Generation.__mapper__.column_attrs}
    session.add(Generation(**{**values, "id": "unpaid", "index": 1}))
