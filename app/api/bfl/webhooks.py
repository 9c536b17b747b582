"""BFL's webhooks: who is told, and what."""

import json

from app.api.bfl.answers import result_response
from app.api.bfl.schemas.fields import Inputs
from app.api.viewpoint import Viewpoint
from app.core.config import EgressSettings
from app.core.errors import InvalidRequest
from app.core.events.progress_board import ProgressBoard
from app.dependencies import Gateway
from app.egress.refused import Refused
from app.egress.target import DEFAULT_PORTS, read_target
from app.generations import repository
from app.webhooks.outbox import Receiver

MAX_SECRET_CHARS = 1024


def receiver_of(body: Inputs, settings: EgressSettings, public_url: str) -> Receiver | None:
    """Who a request names. Raises InvalidRequest for an address that nothing could be sent to."""
    if not body.webhook_url:
        return None
    try:
        schemes = tuple(DEFAULT_PORTS) if settings.allows_http else ("https",)
        read_target(body.webhook_url, schemes, frozenset(settings.ports))
    except Refused as error:
        raise InvalidRequest(f"webhook_url: {error}", field="webhook_url", limit="a URL of a host of yours") from None
    if len(body.webhook_secret or "") > MAX_SECRET_CHARS:
        message = f"webhook_secret: at most {MAX_SECRET_CHARS} characters"
        raise InvalidRequest(message, field="webhook_secret", limit=MAX_SECRET_CHARS)
    return Receiver(body.webhook_url, body.webhook_secret or None, public_url)


async def webhook_body(parts: Gateway, task_id: str, public_url: str) -> bytes | None:
    """The poll's answer, and the same id and time under the names that receivers read. Links last as long as the picture."""
    now = parts.clock.utc_now()
    async with parts.database.read() as session:
        found = await repository.find_task(session, task_id, now)
    if found is None:
        return None
    view = Viewpoint(public_url, parts.secrets, parts.settings.results.retention_s, now)
    told = result_response(found, ProgressBoard(), view).model_dump()
    return json.dumps({**told, "task_id": task_id, "timestamp": now.isoformat()}).encode()
