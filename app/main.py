"""The composition root of the gateway: settings in, ASGI application out, and `serve` to run it."""

import asyncio
import socket
from pathlib import Path

import uvicorn
from fastapi import Depends, FastAPI
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from app.api import account, admin, errors, files, pricing, results, system, tasks, usage, webhooks
from app.api.bfl import routes as bfl
from app.api.cors import allow_pages
from app.api.description import DescribedApp
from app.api.openai import routes as openai
from app.api.public_url import check_proxies
from app.api.replicate import routes as replicate
from app.core.clock import Clock, SystemClock
from app.core.config import Settings
from app.core.logging import configure_logging
from app.core.operator_rows import load_catalog, operator_rows
from app.lifespan import check_schema, lifespan_of
from app.limits.burst import count_read
from app.limits.headers import LimitHeaders
from app.metering.price_file import load_price_book
from app.middleware import AccessLog, BodyLimit, RequestId, RequestMetrics

PLAYGROUND = Path(__file__).parent / "playground"
GRACE_S = 5
"""Seconds that requests under way get to finish when the gateway stops."""


def create_app(settings: Settings, *, clock: Clock | None = None) -> FastAPI:
    """A gateway. Nothing is opened before its lifespan begins. Raises ConfigurationError for settings that cannot work."""
    check_proxies(settings)
    catalog, clock = load_catalog(settings), clock or SystemClock()
    likes = {row.name: row.like for row in operator_rows(settings.data_dir)}
    price_book = load_price_book(settings.prices.file, [row.name for row in catalog.rows], likes)
    app = DescribedApp(
        catalog,
        serves_anonymous=bool(settings.free.anonymous),
        lifespan=lifespan_of(settings, catalog, price_book, clock),
        dependencies=[Depends(count_read)],
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(bfl.router(catalog))
    app.include_router(openai.router())
    app.include_router(replicate.router())
    app.include_router(tasks.router())
    app.include_router(account.router())
    app.include_router(admin.router())
    app.include_router(pricing.router())
    app.include_router(usage.router())
    app.include_router(webhooks.router())
    app.include_router(files.router())
    app.include_router(results.router())
    app.include_router(system.router(serves_metrics=settings.gateway.metrics_port is None))
    _add_playground(app)
    errors.install(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, max_bytes=settings.gateway.max_body_bytes)
    app.add_middleware(LimitHeaders, clock=clock)
    app.add_middleware(RequestMetrics)
    allow_pages(app, settings.cors)
    app.add_middleware(AccessLog)
    app.add_middleware(RequestId)
    return app


def serve(settings: Settings, *, listener: socket.socket | None = None) -> None:
    """Run a gateway until a signal ends it. Raises StartupError, before anything listens, on an old schema."""
    if listener is not None:
        settings = _listening_on(settings, listener)
    configure_logging(settings.log)
    asyncio.run(check_schema(settings))
    config = uvicorn.Config(
        create_app(settings),
        host=settings.gateway.host,
        port=settings.gateway.port,
        access_log=False,
        log_config=None,
        server_header=False,
        ws="none",
        proxy_headers=False,  # forwarded headers are app.api.public_url's business, and only from trusted proxies
        timeout_graceful_shutdown=GRACE_S,
        lifespan="on",
    )
    uvicorn.Server(config).run(None if listener is None else [listener])


def _listening_on(settings: Settings, listener: socket.socket) -> Settings:
    """The same settings with the address that the socket really has: links in answers may need it."""
    host, port = listener.getsockname()[:2]
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"host": host, "port": port})})


def _add_playground(app: FastAPI) -> None:
    if not PLAYGROUND.is_dir():
        return
    app.mount("/playground", StaticFiles(directory=PLAYGROUND, html=True), name="playground")

    async def to_playground() -> RedirectResponse:
        return RedirectResponse("/playground/")

    app.add_api_route("/", to_playground, methods=["GET"], include_in_schema=False)
