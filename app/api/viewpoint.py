"""What an answer about a task depends on beside the task."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from app.api.public_url import public_url
from app.core.secret_file import Secrets
from app.dependencies import Gateway


@dataclass(frozen=True)
class Viewpoint:
    """Where links lead, how long they last, and when it is."""

    public_url: str
    secrets: Secrets
    url_ttl_s: float
    now: datetime


def viewpoint_of(request: Request, parts: Gateway) -> Viewpoint:
    """Of whoever sent this request."""
    host = public_url(request, parts.settings)
    return Viewpoint(host, parts.secrets, parts.settings.results.url_ttl_s, parts.clock.utc_now())
