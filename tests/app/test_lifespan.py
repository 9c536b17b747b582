"""Opening and closing a gateway."""

import asyncio
from pathlib import Path

import pytest

from app.core.config import Settings
from app.core.events.base import Done, Progress
from app.core.events.local import LocalEventClient, events_socket_path
from app.core.events.redis import RedisEvents
from app.lifespan import StartupError, check_schema
from app.main import create_app, serve
from tests.fixtures.api import Api, Customer, RunApi
from tests.fixtures.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_an_old_schema_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    with pytest.raises(StartupError, match="darkroom db upgrade"):
        async with app.router.lifespan_context(app):
            pass
    with pytest.raises(StartupError, match="darkroom db upgrade"):
        await check_schema(Settings(data_dir=tmp_path))


async def test_progress_arrives_from_a_worker_and_ends_with_it(api: Api, ann: Customer) -> None:
    task = await ann.submit()
    claim = await api.claim()
    client = LocalEventClient(events_socket_path(api.parts.settings), reconnect_s=0.005)
    await client.start()

    async def shown() -> float | None:
        return (await api.http.get(task["polling_url"])).json()["progress"]

    async def until(value: float | None) -> None:
        async with asyncio.timeout(20):
            while await shown() != value:  # noqa: ASYNC110 - a poll is no event, and may be answered without a turn of the loop
                await asyncio.sleep(0.001)

    while not client.is_connected:  # noqa: ASYNC110 - a connection sets no event
        await asyncio.sleep(0.001)
    client.publish(Progress(claim.generation_id, 8, 16))
    await until(0.5)
    client.publish(Done(claim.generation_id, task["id"], "ready"))
    await until(None)
    await client.close()


async def test_a_submit_rings_the_workers(api: Api, ann: Customer) -> None:
    client = LocalEventClient(events_socket_path(api.parts.settings), reconnect_s=0.005)
    await client.start()
    while not client.is_connected:  # noqa: ASYNC110 - a connection sets no event
        await asyncio.sleep(0.001)
    client.publish(Progress("known-to-be-accepted", 1, 2))
    while api.app.state.progress.fraction("known-to-be-accepted") is None:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.001)
    await ann.submit()
    async with asyncio.timeout(5):
        event = await client.receive()
    assert getattr(event, "pool", None) == "default"
    await client.close()


async def test_with_redis_a_submit_leaves_a_ticket_and_progress_arrives(
    run_api: RunApi, redis_server: RedisServer
) -> None:
    async with run_api(redis={"url": redis_server.url}) as api:
        await api.install("flux-nano")
        task = await (await api.account()).submit()
        claim = await api.claim()
        worker = RedisEvents(api.parts.settings.redis, "workers")
        await worker.start()
        async with asyncio.timeout(20):
            with redis_server.client() as client:
                while client.llen("rq:queue:darkroom-default") != 1:  # noqa: ASYNC110 - another thread's work
                    await asyncio.sleep(0.001)
            while (await api.http.get(task["polling_url"])).json()["progress"] != 0.5:
                worker.publish(Progress(claim.generation_id, 8, 16))
                await asyncio.sleep(0.01)  # a poll takes no turn of the loop, and the news needs one
        await worker.close()


async def test_submits_are_answered_while_redis_is_away(run_api: RunApi) -> None:
    async with run_api(redis={"url": "redis://127.0.0.1:1/0"}) as api:
        await api.install("flux-nano")
        ann = await api.account()
        for _ in range(3):
            await ann.submit()
        assert (await api.http.get("/readyz")).status_code == 200


def test_serve_refuses_an_old_schema_before_it_listens(tmp_path: Path) -> None:
    with pytest.raises(StartupError):
        serve(Settings(data_dir=tmp_path))


async def test_a_closed_gateway_leaves_no_socket_and_no_work_behind(run_api: RunApi) -> None:
    others = asyncio.all_tasks()
    async with run_api() as api:
        path = events_socket_path(api.parts.settings)
        assert is_there(path)
        assert len(asyncio.all_tasks() - others) >= 3
    assert not is_there(path)
    assert asyncio.all_tasks() <= others


def is_there(path: Path) -> bool:
    return path.exists()
