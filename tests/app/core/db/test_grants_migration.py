"""Credits of the first schema, with work under way, become a grant: nothing is lost, and the ledger balances before and after."""

# ruff: noqa: S608 (rows of constants)
import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core import ledger
from app.core.db.engine import Database
from app.core.db.migrate import migrate
from app.core.ledger import Hold
from tests.fixtures.accounts import EPOCH

ANN, BOB, CAT = "ann", "bob", "cat"
AT = "'2026-01-01 00:00:00.000000+00:00'"

OLD_ROWS = [
    *(f"INSERT INTO account VALUES ('{one}', '{one}', {posted}, {held}, {AT})"
      for one, posted, held in ((ANN, 700, 300), (BOB, 5, 0), (CAT, 0, 0))),
    f"INSERT INTO task VALUES ('t', '{ANN}', 'm', 'm', 'bfl', 2, {AT}, {AT}, NULL, 600, '{{}}')",
    *("INSERT INTO generation (id, task_id, \"index\", account_id, state, spec, spec_version, network, pool, seed, width, height, "
      "priority, expected_s, queued_at, deadline_at, attempt, failures, cancel_requested, price_micro, price_book_version, "
      f"price_inputs, object_key) VALUES ('{one}', 't', {index}, '{ANN}', '{state}', '{{}}', 1, 'm', 'p', 0, 1, 1, 0, 1, {AT}, "
      f"{AT}, 1, 0, false, 300, 'v', '{{}}', 'k')" for index, (one, state) in enumerate((("g1", "ready"), ("g2", "queued")))),
    *(f"INSERT INTO ledger_transaction (id, kind, generation_id, account_id, created_at) VALUES ({number}, '{kind}', {of}, '{who}', {AT})"
      for number, kind, of, who in ((1, "purchase", "NULL", ANN), (2, "reserve", "'g1'", ANN), (3, "settle", "'g1'", ANN),
                                    (4, "reserve", "'g2'", ANN), (5, "grant", "NULL", BOB), (6, "adjust", "NULL", BOB))),
    *(f"INSERT INTO ledger_entry (transaction_id, ledger_account, amount_micro) VALUES ({number}, '{name}', {micro})"
      for number, name, micro in (
          (1, "purchases", -1000), (1, "customer\\:ann\\:available", 1000),
          (2, "customer\\:ann\\:available", -300), (2, "customer\\:ann\\:held", 300),
          (3, "customer\\:ann\\:held", -300), (3, "revenue", 300),
          (4, "customer\\:ann\\:available", -300), (4, "customer\\:ann\\:held", 300),
          (5, "grants", -8), (5, "customer\\:bob\\:available", 8), (6, "customer\\:bob\\:available", -3), (6, "adjustments", 3),
      )),
]  # fmt: skip


async def check(url: str) -> None:
    await migrate(url, "0001", down=True)
    database = Database.open(url)
    async with database.write() as session:
        for statement in OLD_ROWS:
            await session.execute(text(statement))
        if not database.is_sqlite:  # keys were counted by hand above
            await session.execute(text("SELECT setval('ledger_transaction_id_seq', 6)"))
    await migrate(url)
    async with database.read() as session:
        grants = await session.execute(text("SELECT account_id, kind, amount_micro, remaining_micro FROM credit_grant"))
        assert sorted(tuple(row) for row in grants) == [(ANN, "purchased", 1000, 400), (BOB, "purchased", 5, 5)]
        assert await ledger.verify(session) == []
    async with database.write() as session:
        await ledger.settle(session, Hold("g2", ANN, 300), 0, EPOCH)
        await session.execute(text("UPDATE generation SET state = 'error' WHERE id = 'g2'"))
        await ledger.credit(session, CAT, 9, "free", None, "a", "w", EPOCH, expires_at=EPOCH)
        assert await ledger.expire(session, CAT, EPOCH) == 9
    async with database.read() as session:
        assert await ledger.verify(session) == []
    await database.close()


async def check_that_nothing_can_be_changed(url: str) -> None:
    database = Database.open(url)
    for table in ("ledger_entry", "ledger_transaction"):
        for statement in (f"UPDATE {table} SET id = id + 100", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError, match="append-only"):
                async with database.write() as session:
                    await session.execute(text(statement))
    await database.close()


def test_the_balances_of_the_first_schema_become_grants(database_url: str) -> None:
    asyncio.run(check(database_url))
    asyncio.run(check_that_nothing_can_be_changed(database_url))
