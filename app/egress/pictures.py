"""Pictures behind URLs: fetched before the request is accepted, so that what is priced is what is drawn from."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from app.core.config import EgressSettings
from app.core.errors import InvalidRequest
from app.core.inputs.encoded import MAX_BYTES
from app.egress.addresses import PrivateHosts
from app.egress.refused import Failed, Refused

if TYPE_CHECKING:
    from app.egress.client import Egress

MAX_AT_ONCE: Final = 32
"""Fetches of this process; further ones wait for their turn within their own time."""

FetchPicture = Callable[[str, str], Awaitable[bytes]]
"""A field and its URL to bytes. Raises InvalidRequest, naming the field."""


class PictureFetcher:
    """Fetches for one process. The client is made when the first URL is sent.

    Args:
        settings: which hosts, ports and times.
        stack: closes the client.
    """

    def __init__(self, settings: EgressSettings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self._client: Egress | None = None

    async def __call__(self, field: str, url: str) -> bytes:
        """The bytes behind the URL. Raises InvalidRequest, naming the field and the host, never the path."""
        try:
            async with self._turns:
                return await self._opened().get(url, MAX_BYTES, self._settings.picture_s)
        except (Refused, Failed) as error:
            message = f"{field}: {error}"
            raise InvalidRequest(message, field=field, limit="a URL of a picture, or the picture in base64") from None

    def _opened(self) -> "Egress":
        if self._client is None:
            self._client = open_egress(self._settings)
            self._stack.push_async_callback(self._client.close)
        return self._client


def open_egress(settings: EgressSettings) -> "Egress":
    """A client by these settings."""
    from app.egress.client import Egress  # brings httpcore, which a gateway without URLs does not need

    return Egress(
        schemes=("https", "http") if settings.allows_http else ("https",),
        ports=frozenset(settings.ports),
        private_hosts=PrivateHosts(settings.private_hosts),
        connect_s=settings.connect_s,
    )


async def fetch_nothing(field: str, url: str) -> bytes:
    """Where nobody has to prove who they are, no socket is opened for them."""
    raise InvalidRequest(f"{field}: no URL is fetched here; send the picture itself", field=field, limit="base64")
