"""For operators and their machines: alive, ready, metrics. Refusals are problem+json (app.api.errors)."""

import asyncio
from datetime import timedelta
from typing import Literal, Protocol, runtime_checkable

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from app.core.claims import queue_loads
from app.core.errors import Unavailable
from app.core.events.base import EventBus
from app.core.metrics import QUEUED, QUEUED_SECONDS
from app.dependencies import Gateway, Parts
from app.generations.repository import is_any_worker_ready, pools

RETRY_S = 1.0
DATABASE_WITHIN_S = 2.0
"""What asks for readiness does so every few seconds, and wants an answer before the next time."""


class Readiness(BaseModel):
    """Whether requests are served, and what is amiss where they are not served well. It names no place: anybody may ask."""

    status: Literal["ready", "degraded"]
    degraded: list[str]


@runtime_checkable
class Connecting(Protocol):
    """A bus that is somewhere else."""

    @property
    def is_connected(self) -> bool: ...


def router(*, serves_metrics: bool) -> APIRouter:
    """The routes; metrics may have a port of their own instead."""
    routes = APIRouter(tags=["System"])
    routes.add_api_route("/livez", livez, methods=["GET"])
    routes.add_api_route("/readyz", readyz, methods=["GET"])
    if serves_metrics:
        routes.add_api_route("/metrics", metrics, methods=["GET"], response_class=Response)
    return routes


async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


async def readyz(parts: Parts) -> Readiness:
    """Requests would be served: the database answers and, where one is awaited, a worker is there.

    Served, but not well, is degraded, and still 200: a load balancer that took such gateways away would take all of them.
    The schema needs no look: a gateway does not start on one that is not its own.
    """
    lease = timedelta(seconds=parts.settings.queue.lease_s)
    try:
        async with asyncio.timeout(DATABASE_WITHIN_S), parts.database.read() as session:
            has_begun = await is_any_worker_ready(session, parts.started_at)
            is_alive = await is_any_worker_ready(session, parts.clock.utc_now() - lease)
    except (SQLAlchemyError, OSError) as error:  # a TimeoutError is an OSError
        raise Unavailable("the database does not answer", retry_after_s=RETRY_S) from error
    if parts.settings.gateway.await_worker and not has_begun:
        raise Unavailable("no worker is ready yet", retry_after_s=RETRY_S)
    found = {"no worker is alive": not is_alive, "Redis does not answer": not _hears_workers(parts.events)}
    degraded = [what for what, is_so in found.items() if is_so]
    return Readiness(status="degraded" if degraded else "ready", degraded=degraded)


def _hears_workers(events: EventBus) -> bool:
    """A bus on this machine is there as long as the gateway is."""
    return not isinstance(events, Connecting) or events.is_connected


async def metrics(parts: Parts) -> Response:
    """Prometheus's text format. What is queued is counted at each look."""
    await _count_queued(parts)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _count_queued(parts: Gateway) -> None:
    QUEUED.clear()
    QUEUED_SECONDS.clear()
    async with parts.database.read() as session:
        for pool in await pools(session):
            for priority, load in (await queue_loads(session, pool)).items():
                QUEUED.labels(pool, priority).set(load.num_queued)
                QUEUED_SECONDS.labels(pool, priority).set(load.expected_s)
