"""Opens what a gateway lives on and puts it on app.state; closes it in reverse."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from prometheus_client import start_http_server

from app.api.webhook_bodies import webhook_body
from app.auth.key_uses import KeyUses
from app.core.catalog import Catalog
from app.core.clock import Clock
from app.core.config import Settings
from app.core.db.engine import Database
from app.core.db.version import schema_is_current
from app.core.dispatch.opening import open_dispatcher
from app.core.events.base import Cancel, Done, EventBus, Preview, Progress, Ring
from app.core.events.opening import gateway_events
from app.core.events.progress_board import ProgressBoard
from app.core.secret_file import resolve_secrets
from app.core.storage.opening import open_presigner, open_store
from app.dependencies import Gateway
from app.egress.pictures import PictureFetcher
from app.generations.sweeper import Sweeper
from app.generations.waiting import Waiters
from app.generations.watching import Watchers
from app.limits.gcra import MemoryBurstStore
from app.limits.opening import open_bursts
from app.metering.price_book import PriceBook
from app.moderation.opening import open_moderator
from app.webhooks.sender import Sender

log = structlog.stdlib.get_logger(__name__)


class StartupError(Exception):
    """Why this gateway cannot serve, in words for its operator."""


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def lifespan_of(settings: Settings, catalog: Catalog, price_book: PriceBook, clock: Clock) -> Lifespan:
    """The lifespan of a gateway with these settings, that sells these models at these prices."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await _open(app, settings, catalog, price_book, clock, stack)
            yield

    return lifespan


async def check_schema(settings: Settings) -> None:
    """Raise StartupError unless the database's schema is this version's."""
    database = Database.open(settings.database.url)
    try:
        await require_current_schema(database)
    finally:
        await database.close()


async def require_current_schema(database: Database) -> None:
    if not await schema_is_current(database):
        raise StartupError("the database's schema is not this version's; run `darkroom db upgrade` first")


async def _open(
    app: FastAPI, settings: Settings, catalog: Catalog, price_book: PriceBook, clock: Clock, stack: AsyncExitStack
) -> None:
    database = Database.open(settings.database.url)
    stack.push_async_callback(database.close)
    await require_current_schema(database)
    events = gateway_events(settings)
    await events.start()
    stack.push_async_callback(events.close)
    key_uses, progress, waiters = KeyUses(database), ProgressBoard(), Waiters()
    watchers = Watchers(progress)
    stack.push_async_callback(key_uses.write)
    parts = Gateway(
        settings=settings,
        secrets=resolve_secrets(settings),
        catalog=catalog,
        price_book=price_book,
        clock=clock,
        started_at=clock.utc_now(),
        database=database,
        store=open_store(settings),
        dispatcher=open_dispatcher(settings, events, stack),
        events=events,
        moderator=open_moderator(settings.moderation, stack),
        fetch_picture=PictureFetcher(settings.egress, stack),
        presigner=open_presigner(settings),
    )
    app.state.gateway, app.state.key_uses, app.state.progress = parts, key_uses, progress
    app.state.bursts, app.state.reads = open_bursts(settings.redis, stack), MemoryBurstStore()
    app.state.waiters, app.state.watchers = waiters, watchers
    await _in_background(
        stack,
        _receive(events, progress, waiters, watchers),
        waiters.look_forever(database),
        watchers.look_forever(database),
        Sweeper(parts).run(),
        Sender(parts, webhook_body).run(),
        key_uses.write_forever(),
    )
    if settings.gateway.metrics_port is not None:
        server, _ = start_http_server(settings.gateway.metrics_port, settings.gateway.host)
        stack.callback(server.shutdown)


async def _in_background(stack: AsyncExitStack, *work: Coroutine[Any, Any, None]) -> None:
    """Run these until the stack closes."""
    tasks = [asyncio.create_task(one) for one in work]
    for task in tasks:
        task.add_done_callback(_tell_if_failed)

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    stack.push_async_callback(stop)


def _tell_if_failed(task: asyncio.Task[None]) -> None:
    """None of them ends by itself; one that does is a bug, and nobody else would see it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("background work has stopped", work=task.get_coro(), exc_info=error)


async def _receive(events: EventBus, progress: ProgressBoard, waiters: Waiters, watchers: Watchers) -> None:
    """Keep the board of progress up to date, and wake whoever waits for an end or watches."""
    while True:
        match await events.receive():
            case Progress() as news:
                progress.note(news)
                watchers.hear(news)
            case Preview() as picture:
                watchers.hear(picture)
            case Done(generation_id=generation_id, task_id=task_id):
                progress.forget(generation_id)
                waiters.wake(task_id)
                watchers.settled(task_id)
            case Ring() | Cancel():
                pass  # these go the other way
