"""For operators and their machines: alive, ready, metrics. Refusals are problem+json (app.api.errors)."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from app.core.claims import queue_loads
from app.core.errors import Unavailable
from app.core.metrics import QUEUED, QUEUED_SECONDS
from app.dependencies import Gateway, Parts
from app.generations.repository import is_any_worker_ready, pools

RETRY_S = 1.0


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


async def readyz(parts: Parts) -> dict[str, str]:
    """Requests would be served: the database answers and, where one is awaited, a worker is there.

    The schema needs no look: a gateway does not start on one that is not its own.
    """
    try:
        async with parts.database.read() as session:
            is_worker_ready = await is_any_worker_ready(session, parts.started_at)
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable("the database does not answer", retry_after_s=RETRY_S) from error
    if parts.settings.gateway.await_worker and not is_worker_ready:
        raise Unavailable("no worker is ready yet", retry_after_s=RETRY_S)
    return {"status": "ready"}


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
