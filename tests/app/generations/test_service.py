"""Submit: one transaction, then the ring, then the answer; on any error, none of them."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError

from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.dependencies import Work
from app.metering.pricing import price_again
from tests.fixtures.api import Api, Customer

pytestmark = pytest.mark.anyio


class Journal:
    """A dispatcher that writes down how many generations anybody else could see when it rang."""

    def __init__(self, database: Path) -> None:
        self.happened: list[str] = []
        self._database = database

    def ring(self, pool: str) -> None:
        with closing(sqlite3.connect(self._database)) as connection:
            (committed,) = connection.execute("SELECT count(*) FROM generation").fetchone()
        self.happened.append(f"ring {pool}, {committed} committed")


@pytest.fixture
def journal(api: Api) -> Journal:
    """Takes the place of the gateway's dispatcher."""
    journal = Journal(api.parts.settings.data_dir / "darkroom.sqlite3")
    api.app.state.gateway = replace(api.parts, dispatcher=journal)
    return journal


async def num_rows(api: Api) -> tuple[int, int]:
    async with api.parts.database.read() as session:
        tasks = await session.scalar(select(func.count()).select_from(Task))
        generations = await session.scalar(select(func.count()).select_from(Generation))
    return tasks or 0, generations or 0


async def test_commit_comes_before_the_ring_and_both_before_the_answer(
    api: Api, ann: Customer, journal: Journal
) -> None:
    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        async def noting(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                journal.happened.append("answer")
            await send(message)  # type: ignore[operator]  # an ASGI send

        await api.app(scope, receive, noting)  # type: ignore[arg-type]  # plain dictionaries are ASGI scopes

    sent: list[dict[str, object]] = []
    body = b'{"prompt": "a red apple"}'
    headers = [(b"x-key", ann.key.encode()), (b"content-type", b"application/json"), (b"content-length", b"25")]
    scope = {"type": "http", "method": "POST", "path": "/v1/flux-nano", "query_string": b"", "headers": headers}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    assert journal.happened == ["ring default, 1 committed", "answer"]


async def test_a_failing_commit_answers_500_and_leaves_nothing(api: Api, ann: Customer, journal: Journal) -> None:
    def fail(_: object) -> None:
        raise OperationalError("COMMIT", None, RuntimeError("disk full"))

    engine = api.parts.database.engine.sync_engine
    event.listen(engine, "commit", fail)
    answer = await ann.post()
    event.remove(engine, "commit", fail)
    assert answer.status_code == 500
    assert journal.happened == []
    assert await num_rows(api) == (0, 0)
    assert await ann.credits() == 100
    assert await api.breaches() == []
    assert (await ann.post()).status_code == 200


async def test_an_error_inside_the_work_rings_nobody(api: Api, journal: Journal) -> None:
    async def failing(work: Work) -> None:
        work.ring("default")
        raise KeyError

    with pytest.raises(KeyError):
        async with api.parts.work() as work:
            await failing(work)
    assert journal.happened == []


async def test_what_is_queued_can_be_priced_again_from_its_row(api: Api, ann: Customer) -> None:
    await ann.submit(width=384, height=384)
    async with api.parts.database.read() as session:
        row = (await session.scalars(select(Generation))).one()
    assert row.price_micro == 100_000
    assert row.price_book_version == api.parts.price_book.version
    assert price_again(row.price_inputs) == row.price_micro
    assert (row.pool, row.network, row.attempt, row.failures) == ("default", "flux-nano", 0, 0)
    assert (row.deadline_at - row.queued_at).total_seconds() == api.parts.settings.queue.deadline_s


async def test_the_last_credit_is_spent_once(api: Api) -> None:
    poor = await api.account("poor", credits=1)
    answers = [await poor.post() for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [402]
    assert await poor.credits() == 0
    assert await api.breaches() == []
