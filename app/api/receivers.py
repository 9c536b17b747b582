"""Who is to be told of a task's end, as a request names them."""

from app.core.config import EgressSettings
from app.core.errors import InvalidRequest
from app.egress.refused import Refused
from app.egress.target import DEFAULT_PORTS, read_target
from app.webhooks.outbox import Receiver


def receiver_at(
    url: str | None, secret: str | None, settings: EgressSettings, public_url: str, field: str
) -> Receiver | None:
    """Who a request names; None where it names nobody.

    Args:
        url: of the receiver.
        secret: that signs; None for the account's own.
        settings: where webhooks may lead.
        public_url: where the links that are told lead.
        field: under which the request names the receiver.

    Raises:
        InvalidRequest: nothing could be sent there.
    """
    if not url:
        return None
    try:
        schemes = tuple(DEFAULT_PORTS) if settings.allows_http else ("https",)
        read_target(url, schemes, frozenset(settings.ports))
    except Refused as error:
        raise InvalidRequest(f"{field}: {error}", field=field, limit="a URL of a host of yours") from None
    return Receiver(url, secret or None, public_url)
