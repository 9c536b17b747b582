"""For operators and their machines: alive, ready, metrics. Refusals are problem+json (app.api.errors)."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import Unavailable
from app.dependencies import Parts
from app.generations.repository import is_any_worker_ready

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


async def metrics() -> Response:
    """Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
