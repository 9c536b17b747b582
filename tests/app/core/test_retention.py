"""Retention on both databases: what expires, which objects go, and that the ledger stays."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.core import claims, ledger, retention
from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from app.core.db.tables.task import Task
from app.core.spec import GenerationSpec
from tests.fixtures.accounts import EPOCH, NETWORK, POOL, RETENTION_S, MakeAccount, Submit, nano_spec

pytestmark = pytest.mark.anyio

OVER = EPOCH + timedelta(seconds=RETENTION_S)


async def test_an_expired_task_loses_every_attempts_picture_and_keeps_its_money(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    async with database.write() as session:
        for _ in range(2):
            (held,) = await claims.claim(session, "w", POOL, [NETWORK], 1, EPOCH, 10)
            await claims.hand_back(session, [held.held], EPOCH)
        (held,) = await claims.claim(session, "w", POOL, [NETWORK], 1, EPOCH, 10)
        await claims.settle_failed(session, *held.held, claims.Failed("x", "x", False), EPOCH, 3)
        assert await retention.expired_tasks(session, OVER - timedelta(seconds=1)) == []
        (expired,) = await retention.expired_tasks(session, OVER)
        assert {f"results/{generation_id}/{attempt}.png" for attempt in (1, 2, 3)} <= set(expired.object_keys)
        await retention.forget(session, [expired.task_id], OVER)
        assert await retention.expired_tasks(session, OVER) == []
    async with database.read() as session:
        task = await session.get_one(Task, expired.task_id)
        spec = (await session.scalars(select(Generation.spec))).one()
        assert (task.request, task.expired_at, spec) == ({}, OVER, "{}")
        assert await ledger.verify(session) == []


async def test_the_pictures_that_were_sent_go_too(
    database: Database, make_account: MakeAccount, submit: Submit
) -> None:
    (generation_id,) = await submit(await make_account())
    image = {"role": "reference", "key": "inputs/ab/one", "sha256": "ab" * 32, "content_type": "image/png"}
    spec = nano_spec().model_dump() | {"inputs": [image | {"width": 64, "height": 64}]}
    async with database.write() as session:
        await session.execute(update(Generation).values(spec=GenerationSpec.model_validate(spec).to_json()))
        (held,) = await claims.claim(session, "w", POOL, [NETWORK], 1, EPOCH, 10)
        await claims.settle_failed(session, *held.held, claims.Failed("x", "x", False), EPOCH, 3)
        (expired,) = await retention.expired_tasks(session, OVER)
    assert "inputs/ab/one" in expired.object_keys
    assert f"results/{generation_id}/1.png" in expired.object_keys


async def test_a_task_under_way_does_not_expire(database: Database, make_account: MakeAccount, submit: Submit) -> None:
    await submit(await make_account())
    async with database.read() as session:
        assert await retention.expired_tasks(session, OVER) == []
