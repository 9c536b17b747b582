"""The whole worker with its two threads, a real tiny network, files and a socket; only the process around it is missing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy import select
from structlog.testing import capture_logs

from app.core.clock import SystemClock
from app.core.config import Settings
from app.core.db.engine import Database
from app.core.db.tables.generation import Generation
from app.core.db.tables.worker import Registration
from app.core.db.tables.worker import Worker as WorkerRow
from app.core.events.base import Done, Progress
from app.core.events.local import LocalEventServer, events_socket_path
from models.pipeline.drawing import draw
from models.pipeline.loading import load_components
from models.pipeline.request import request_for
from tests.fixtures.accounts import insert_account, insert_task, nano_spec
from tests.fixtures.tiny_models import tiny_klein_folder
from workers.networks import LoadedNetworks, NoNetworks, load_networks
from workers.worker import Worker

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]
WITHIN_S = 30.0


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings.model_validate(
        {"data_dir": tmp_path, "database": {"url": database_url}, "queue": {"renew_s": 0.5, "poll_s": 0.02}}
    )


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[LocalEventServer]:
    """The other end of the events."""
    server = LocalEventServer(events_socket_path(settings))
    await server.start()
    yield server
    await server.close()


async def submitted(database: Database) -> str:
    async with database.write() as session:
        account = await insert_account(session, now=datetime.now(UTC))
        (generation_id,) = await insert_task(session, account, now=datetime.now(UTC))
    return generation_id


async def settled(gateway: LocalEventServer, generation_id: str) -> list[Progress | Done]:
    """Everything that was told of this generation, the end included."""
    told: list[Progress | Done] = []
    async with asyncio.timeout(WITHIN_S):
        while not told or not isinstance(told[-1], Done):
            event = await gateway.receive()
            if isinstance(event, Progress | Done) and event.generation_id == generation_id:
                told.append(event)
    return told


async def test_a_picture_is_made_as_render_makes_it_and_the_worker_drains(
    settings: Settings, database: Database, gateway: LocalEventServer
) -> None:
    folder = tiny_klein_folder(settings.models_dir / "flux-nano")
    generation_id = await submitted(database)
    worker = Worker(settings, lambda: load_networks((settings.models_dir,), torch.device("cpu"), None), SystemClock())
    with capture_logs():
        worker.start()
        told = await settled(gateway, generation_id)
        async with database.read() as session:
            row = await session.get_one(Generation, generation_id)
            (registration,) = (await session.scalars(select(Registration))).all()
            (alive,) = (await session.scalars(select(WorkerRow))).all()
        worker.drain()
        assert await asyncio.to_thread(worker.join, WITHIN_S)
        assert await asyncio.to_thread(worker.join_engine)
    components = load_components(folder)
    assert (registration.network, registration.pool, registration.revision) == (
        "flux-nano",
        "default",
        components.revision,
    )
    assert alive.ready_at is not None
    assert (row.state, row.first_step_at is not None) == ("ready", True)
    assert told[-2:] == [Progress(generation_id, 16, 16), Done(generation_id, row.task_id, "ready")]
    spec = nano_spec()
    asked = request_for(components.defaults, spec.prompt, num_steps=16, width=128, height=128, guidance=spec.guidance)
    expected = draw(components, asked)
    data = (settings.data_dir / "objects" / str(row.object_key)).read_bytes()
    with Image.open(BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(expected))
    assert worker.exit_code == 0
    async with database.read() as session:
        assert (await session.scalars(select(WorkerRow))).all() == []
        assert len((await session.scalars(select(Registration))).all()) == 1


def fails() -> LoadedNetworks:
    raise NoNetworks("no network could be loaded; folders found: none")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_worker_without_weights_ends_with_an_error(settings: Settings) -> None:
    worker = Worker(settings, fails, SystemClock())
    with capture_logs():
        worker.start()
        assert await asyncio.to_thread(worker.join, WITHIN_S)
    assert worker.exit_code == 1


async def test_a_worker_refuses_a_database_without_its_schema(settings: Settings, tmp_path: Path) -> None:
    tiny_klein_folder(settings.models_dir / "flux-nano")
    empty = settings.model_copy(
        update={
            "database": settings.database.model_copy(update={"url": f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"})
        }
    )
    worker = Worker(empty, lambda: load_networks((settings.models_dir,), torch.device("cpu"), None), SystemClock())
    with capture_logs() as logs:
        worker.start()
        assert await asyncio.to_thread(worker.join, WITHIN_S)
    assert worker.exit_code == 1
    assert any("db upgrade" in str(line["event"]) for line in logs)
