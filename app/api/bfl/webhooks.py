"""Webhooks as BFL's bodies name them."""

from app.api.bfl.schemas.fields import Inputs
from app.api.receivers import receiver_at
from app.core.config import EgressSettings
from app.core.errors import InvalidRequest
from app.webhooks.outbox import Receiver

MAX_SECRET_CHARS = 1024


def receiver_of(body: Inputs, settings: EgressSettings, public_url: str) -> Receiver | None:
    """Who a request names. Raises InvalidRequest for an address that nothing could be sent to, and for a long secret."""
    told = receiver_at(body.webhook_url, body.webhook_secret, settings, public_url, "webhook_url")
    if told is not None and len(body.webhook_secret or "") > MAX_SECRET_CHARS:
        message = f"webhook_secret: at most {MAX_SECRET_CHARS} characters"
        raise InvalidRequest(message, field="webhook_secret", limit=MAX_SECRET_CHARS)
    return told
