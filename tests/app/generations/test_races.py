"""Two gateway processes over one database, and clients that all come at once: no credit is spent twice, no job made twice."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from app.core import ledger
from app.core.config import SecretSettings, Settings
from app.core.db.engine import Database
from app.core.db.tables.account import Account
from app.core.db.tables.generation import Generation
from app.core.db.tables.ledger import LedgerTransaction
from tests.fixtures.gateway_process import GatewayProcess, furnish, running_gateway

NUM_SUBMITS = 64
NUM_PAID = 10
"""Of 0.1 credits each: one credit."""
NUM_DUPLICATES = 50
SECRETS = {"key_pepper": "pepper for a fleet", "url_signing_key": "signing key for a fleet"}


@pytest.fixture
def fleet(database_url: str, tmp_path: Path) -> Iterator[Sequence[GatewayProcess]]:
    """Two gateways; their customer has one credit."""
    secrets = SecretSettings.model_validate(SECRETS)
    settings = Settings(data_dir=tmp_path, database={"url": database_url}, secrets=secrets)  # pyright: ignore[reportArgumentType] (pydantic reads dictionaries)
    key = asyncio.run(furnish(settings, credits=1))
    environment = {f"DARKROOM_SECRETS__{name}".upper(): secret for name, secret in SECRETS.items()}
    with ExitStack() as stack:
        gateways: list[GatewayProcess] = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            running = running_gateway(tmp_path / name, key, DARKROOM_DATABASE__URL=database_url, **environment)
            gateways.append(stack.enter_context(running))
        yield gateways


async def post_all(fleet: Sequence[GatewayProcess], count: int, **headers: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
        posts = (
            http.post(
                f"{fleet[number % len(fleet)].url}/v1/flux-nano",
                json={"prompt": "a red apple"},
                headers={"x-key": fleet[0].key, **headers},
            )
            for number in range(count)
        )
        return await asyncio.gather(*posts)


async def ledger_of(url: str) -> tuple[int, int, int, list[ledger.Breach]]:
    """Generations, reserves, available micro-credits, and what the audit says."""
    database = Database.open(url)
    async with database.read() as session:
        generations = (await session.scalars(select(Generation.id))).all()
        reserves = (
            await session.scalars(select(LedgerTransaction.id).where(LedgerTransaction.kind == "reserve"))
        ).all()
        left = (await session.scalars(select(Account.posted_micro - Account.held_micro))).one()
        breaches = await ledger.verify(session)
    await database.close()
    return len(generations), len(reserves), left, breaches


def test_races_for_a_key_and_for_the_last_credits(fleet: Sequence[GatewayProcess], database_url: str) -> None:
    """The same key from 50 clients at once is one job; then 64 submits share what is left for nine."""
    answers = asyncio.run(post_all(fleet, NUM_DUPLICATES, **{"Idempotency-Key": "once"}))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert Counter(answer.headers.get("Idempotent-Replayed") for answer in answers) == {None: 1, "true": 49}
    assert asyncio.run(ledger_of(database_url)) == (1, 1, 900_000, [])

    answers = asyncio.run(post_all(fleet, NUM_SUBMITS))
    assert Counter(answer.status_code for answer in answers) == {200: NUM_PAID - 1, 402: NUM_SUBMITS - NUM_PAID + 1}
    assert asyncio.run(ledger_of(database_url)) == (NUM_PAID, NUM_PAID, 0, [])
